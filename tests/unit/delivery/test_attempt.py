from types import SimpleNamespace
from typing import Any, cast

import pytest

from mta.compose.spec import ComposeFailed
from mta.delivery import attempt as attempts
from mta.delivery.attempt import Tried
from mta.delivery.router import NoRoute
from mta.model.outcome import BounceClass, Bounced, Deferred, Failed, Stage
from mta.model.reply import Reply
from mta.model.tls import Demand
from mta.smtp.connection import Connection
from mta.smtp.fact import Accepted, Impossible, Lost, Obstacle, Refused, Transaction
from mta.smtp.opening import ConnectRefused, NoMailHere
from mta.smtp.settings import Pattern
from tests.unit.delivery.refs import SOURCE, envelope, ref

TRIED = Tried(2, 1000.0, SOURCE, "site")
CONNECTION = cast(
    Connection,
    SimpleNamespace(
        local_ip="127.0.0.9",
        host="mx.d.test",
        peer_ip="192.0.2.1",
        id="s1",
        served=3,
        opened_at=10.0,
        tls_version="TLSv1.3",
        tls_cipher="c",
        tls_policy="sts",
        tls_demand=Demand.VERIFIED,
        pattern=Pattern.CB,
    ),
)
TRANSACTION = Transaction(envelope(ref()))


def test_delivered_carries_the_whole_way() -> None:
    """Who, from where, to whom, in which session, by what reply, how long."""
    reply = Reply(250, ("2.0.0 ok",), "2.0.0")
    made = attempts.delivered(TRIED, CONNECTION, Accepted(TRANSACTION, reply, 0.25), 12.0).attempt
    assert (made.number, made.at, made.stage, made.reply) == (2, 1000.0, Stage.END_OF_DATA, reply)
    assert (made.source, made.source_ip, made.ehlo, made.site) == (
        "one",
        "127.0.0.9",
        "one.acme.test",
        "site",
    )
    assert (made.mx_host, made.mx_ip, made.session_id, made.session_seq) == (
        "mx.d.test",
        "192.0.2.1",
        "s1",
        3,
    )
    assert (made.session_s, made.smtp_s) == (2.0, 0.25)
    assert made.command == "BDAT"
    assert (made.tls_version, made.tls_policy, made.tls_verified) == ("TLSv1.3", "sts", "sts")


@pytest.mark.parametrize(
    ("fact", "kind", "bounce_class"),
    [
        (
            Refused(TRANSACTION, Stage.RCPT, "RCPT", Reply(550, ("x",), "5.1.1"), 0.1),
            Bounced,
            "invalid_recipient",
        ),
        (Refused(TRANSACTION, Stage.RCPT, "RCPT", Reply(450, ("x",), "4.2.1"), 0.1), Deferred, ""),
        (Lost(TRANSACTION, Stage.MAIL, "closed", None, False, 0.1), Deferred, "connection_lost"),
        (Lost(TRANSACTION, Stage.END_OF_DATA, "closed", None, True, 0.1), Deferred, "connection_lost"),
        (Lost(TRANSACTION, Stage.END_OF_DATA, "stray", Reply(550, ("x",)), True, 0.1), Deferred, ""),
        (Impossible(TRANSACTION, Obstacle.SIZE, "too large"), Bounced, "message_too_large"),
        (Impossible(TRANSACTION, Obstacle.SMTPUTF8, "no"), Bounced, "unsupported_feature"),
        (Impossible(TRANSACTION, Obstacle.REQUIRETLS, "5.7.30 no"), Bounced, "tls_required"),
    ],
)
def test_only_a_well_formed_5yz_bounces(fact: Any, kind: type, bounce_class: str) -> None:
    """Everything else defers; an untrusted reply after the dot is never the end (S-14)."""
    settled = attempts.not_delivered(TRIED, CONNECTION, fact, 12.0, "other")
    assert type(settled) is kind
    assert not bounce_class or settled.verdict.bounce_class == bounce_class
    assert settled.attempt.ambiguous == getattr(fact, "ambiguous", False)
    assert settled.attempt.number == 2


def test_5yz_before_mail_is_no_verdict_on_a_recipient() -> None:
    """S-16: a banner of 554 defers."""
    failure = ConnectRefused(Stage.CONNECT, "554 go away", Reply(554, ("go away",)))
    settled = attempts.not_connected(TRIED, failure, "other")
    assert isinstance(settled, Deferred)
    assert (settled.attempt.stage, settled.attempt.source_ip) == (Stage.CONNECT, "127.0.0.1")


def test_a_site_that_takes_no_mail_is_no_domain_for_it() -> None:
    """521/556 (RFC 7504), the one exception to S-16: each host greeted with 521."""
    failure = NoMailHere(Stage.CONNECT, "521 no mail here", Reply(521, ("no mail here",)))
    settled = attempts.not_connected(TRIED, failure, "other")
    assert isinstance(settled, Bounced)
    assert settled.verdict.bounce_class is BounceClass.INVALID_DOMAIN
    assert settled.attempt.reply == failure.reply


def test_never_sent_is_a_lost_connection() -> None:
    """Connections that end again and again before MAIL count as an attempt in the end."""
    settled = attempts.never_sent(TRIED, CONNECTION, 12.0)
    assert settled.verdict.bounce_class is BounceClass.CONNECTION_LOST
    assert not settled.attempt.ambiguous


@pytest.mark.parametrize(("is_permanent", "kind"), [(True, Bounced), (False, Deferred)])
def test_no_route_ends_or_waits(is_permanent: bool, kind: type) -> None:
    """As the resolver's word says."""
    word = "null_mx" if is_permanent else "servfail"
    settled = attempts.not_routed(1, 5.0, NoRoute(word, "why", is_permanent))
    assert type(settled) is kind
    assert (settled.attempt.stage, settled.attempt.at, settled.verdict.detail) == (Stage.DNS, 5.0, "why")


def test_what_cannot_be_composed_is_over_unless_it_is_our_fault() -> None:
    """A template error fails; a missing key defers as `local`."""
    over = attempts.not_composed(1, 5.0, ComposeFailed(0, "m", "template", "line 3"))
    assert over == Failed(5.0, "template", "line 3")
    again = attempts.not_composed(1, 5.0, ComposeFailed(0, "m", "dkim", "no key", is_local_fault=True))
    assert isinstance(again, Deferred)
    assert (again.verdict.bounce_class, again.verdict.detail) == (BounceClass.LOCAL, "no key")
