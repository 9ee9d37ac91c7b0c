"""What a refusal says to the pace of a path's scopes."""

import time

from mta.delivery.berths import Berths
from mta.delivery.slowing import Slowing
from mta.model.outcome import Stage
from mta.model.path import MxHost
from mta.model.reply import Reply
from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.pacing.scope import Scope, ScopeKind
from mta.pacing.settings import PathSettings
from mta.smtp.opening import ConnectRefused, Unreachable
from tests.unit.delivery.refs import CLASSIFIER


class Path:
    def wake(self) -> None:
        """Nothing waits here."""


def slowing(governors: Governors) -> Slowing:
    passage = governors.passage("a1", "mx.test", "google", PathSettings(), Path())
    return Slowing(passage, Berths(), "google", CLASSIFIER)


def test_a_greeting_that_refuses_slows_the_source() -> None:
    """Google says 421 4.7.28 at the door, too: the reply is what is told."""
    governors = Governors(Actions(), time.time)
    text = "Our system has detected an unusual rate of unsolicited mail originating from your IP address."
    refused = ConnectRefused(Stage.CONNECT, "x", Reply(421, (f"4.7.28 {text}",), "4.7.28"))
    slowing(governors).not_opened(MxHost("mx1.test"), refused, 1000.0)
    (row,) = governors.list(1000.0)
    assert row.scope == Scope(ScopeKind.PROVIDER, "a1", "google")
    assert row.reply == f"421 4.7.28 {text}"


def test_who_says_nothing_accuses_nobody() -> None:
    """No reply, no pace."""
    governors = Governors(Actions(), time.time)
    slowing(governors).not_opened(MxHost("mx1.test"), Unreachable(Stage.CONNECT, "refused"), 1000.0)
    assert governors.list(1000.0) == []
