"""AUTH: whom the password is shown to, how, and what is told when it is refused."""

import base64
import hmac
import ssl
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.model.login import Login
from mta.model.outcome import Stage
from mta.model.tls import Demand
from mta.smtp import tls
from mta.smtp.fact import Accepted
from mta.smtp.opening import (
    ConnectFailed,
    ConnectGarbled,
    ConnectLost,
    ConnectRefused,
    ConnectTimeout,
    TlsFailed,
)
from mta.smtp.settings import Pattern, Timeouts
from tests.fakes.smtp_server import PIPELINING, Cut, FakeMX, On
from tests.fakes.trust import of_nobody, trusted_server
from tests.integration.smtp.owner import Owner, transactions

LOGIN = Login("mta", "s3cret")
PLAIN = base64.b64encode(b"\0mta\0s3cret")
SECRETS = (b"s3cret", PLAIN, base64.b64encode(b"s3cret"))
OFFER = (*PIPELINING, "AUTH PLAIN LOGIN CRAM-MD5")


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ssl.SSLContext]:
    """Of a server that is who it says."""
    with trusted_server(tmp_path_factory.mktemp("authority"), "mx.test") as context:
        yield context


def relay(context: ssl.SSLContext | None, *rules: On, offer: tuple[str, ...] = OFFER) -> FakeMX:
    """Offers AUTH inside TLS only, as relays do."""
    return FakeMX(PIPELINING, offer, rules, context=context)


async def fails(mx: FakeMX, **options: object) -> ConnectFailed:
    """The failure; the password is in no text of it, and not in its traceback."""
    async with mx.serving():
        owner = Owner(
            mx, transactions(1), Pattern.AUTO, **{"tls": Demand.VERIFIED, "login": LOGIN, **options}
        )
        with pytest.raises(ConnectFailed) as caught:
            await owner.open()
        await mx.until(lambda: not mx.clients)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value.reply) + caught.value.detail
    assert not any(secret.decode() in told for secret in SECRETS)
    return caught.value


def has_shown_it(mx: FakeMX) -> bool:
    return any(secret in line for _, line in mx.lines for secret in (b"AUTH", *SECRETS))


@pytest.mark.parametrize(
    ("mechanisms", "lines"),
    [
        ("LOGIN CRAM-MD5 PLAIN", [b"AUTH PLAIN " + PLAIN]),
        ("CRAM-MD5 LOGIN", [b"AUTH LOGIN " + base64.b64encode(b"mta"), base64.b64encode(b"s3cret")]),
        (
            "CRAM-MD5",
            [
                b"AUTH CRAM-MD5",
                base64.b64encode(
                    b"mta " + hmac.new(b"s3cret", b"<17893@mx.test>", "md5").hexdigest().encode()
                ),
            ],
        ),
    ],
)
async def test_each_mechanism(mechanisms: str, lines: list[bytes], context: ssl.SSLContext) -> None:
    """PLAIN before LOGIN before CRAM-MD5, after the second EHLO; then mail goes."""
    async with relay(context, offer=(*PIPELINING, f"AUTH {mechanisms}")).serving() as mx:
        owner = Owner(mx, transactions(2), Pattern.AUTO, tls=Demand.VERIFIED, login=LOGIN)
        await owner.run()
        assert owner.kinds() == [Accepted] * 2
        hello = b"EHLO client.test"
        said = [line.rstrip() for line in mx.commands(0)]
        assert said[: 3 + len(lines)] == [hello, b"STARTTLS", hello, *lines]
        assert said[3 + len(lines)].startswith(b"MAIL")


async def test_d13_a_certificate_of_nobody_we_trust(context: ssl.SSLContext) -> None:
    """D13: the certificate is bad, so the password is never sent, nor is mail."""
    mx = relay(of_nobody())
    assert isinstance(await fails(mx), TlsFailed)
    assert not has_shown_it(mx)


async def test_d13_another_name(context: ssl.SSLContext) -> None:
    """D13: a good certificate of somebody else is a bad one."""
    mx = relay(context)
    async with mx.serving():
        owner = Owner(mx, transactions(1), Pattern.AUTO, tls=Demand.VERIFIED, login=LOGIN)
        owner.host = "relay.test"
        with pytest.raises(TlsFailed, match=r"relay\.test"):
            await owner.open()
    assert not has_shown_it(mx)


@pytest.mark.parametrize("demand", [Demand.NONE, Demand.OPPORTUNISTIC, Demand.ENCRYPTED])
async def test_d13_no_other_demand_will_do(demand: Demand, context: ssl.SSLContext) -> None:
    """D13: whoever passes a login on without demanding verification is stopped at the write."""
    mx = relay(context)
    mx.offers = OFFER
    failure = await fails(mx, tls=demand)
    assert failure.stage is Stage.LOCAL
    assert not has_shown_it(mx)


async def test_d13_the_session_itself_is_asked(tmp_path: Path) -> None:
    """D13: a context that somebody has loosened is found out behind any demand."""
    with trusted_server(tmp_path, "mx.test"):
        tls.verified().check_hostname = False
        tls.verified().verify_mode = ssl.CERT_NONE
        mx = relay(of_nobody())
        failure = await fails(mx)
    assert (failure.stage, "not sent" in failure.detail) == (Stage.LOCAL, True)
    assert not has_shown_it(mx)


@pytest.mark.parametrize(
    "stripped", [None, On("starttls", [b"454 4.7.0 not now\r\n"]), On("handshake", [Cut.CLOSE])], ids=str
)
async def test_d13_no_tls_no_mail(stripped: On | None, context: ssl.SSLContext) -> None:
    """D13: not offered, refused or broken: neither password nor mail in clear, whatever is known of the host."""
    mx = relay(context, *([stripped] if stripped else []))
    mx.offers = OFFER
    if stripped is None:
        mx.context = None
    failure = await fails(mx, tls_broken=True)
    assert failure.stage is Stage.TLS
    assert not has_shown_it(mx)
    assert not any(line.startswith(b"MAIL") for _, line in mx.lines)


@pytest.mark.parametrize(
    ("reply", "codes"),
    [
        (b"535 5.7.8 no: %b\r\n" % PLAIN, (535, "5.7.8")),
        (b"454 4.7.0 %b later\r\n" % PLAIN, (454, "4.7.0")),
        (b"535-s3cret\r\n535 is wrong\r\n", (535, "")),
        (b"421 4.3.2 s3cret\r\n", (421, "4.3.2")),
    ],
)
async def test_refused(reply: bytes, codes: tuple[int, str], context: ssl.SSLContext) -> None:
    """The codes are told, and nothing of a text that may repeat what it was shown."""
    failure = await fails(relay(context, On("auth", [reply])))
    assert isinstance(failure, ConnectRefused)
    assert failure.stage is Stage.AUTH
    assert failure.reply is not None
    assert (failure.reply.code, failure.reply.enhanced, failure.reply.text) == (*codes, "")


@pytest.mark.parametrize(
    "reply",
    [b"250 ok\r\n", b"334 \r\n", b"s3cret?\r\n", b"235 s3cret\r\n250 x\r\n", b"535 \r\n53", b"x" * 100_000],
)
async def test_garbled(reply: bytes, context: ssl.SSLContext) -> None:
    """Only 235 is a welcome; what is no reply to AUTH ends the connection."""
    failure = await fails(relay(context, On("auth", [reply])))
    assert isinstance(failure, ConnectGarbled)
    assert failure.stage is Stage.AUTH


@pytest.mark.parametrize("phase", ["auth", "login"])
@pytest.mark.parametrize("cut", Cut)
async def test_b1_b2_b3_cut(phase: str, cut: Cut, context: ssl.SSLContext) -> None:
    """B1, B2, B3 in AUTH: lost, and silence ends at its own limit, however many lines there are."""
    mx = relay(context, On(phase, [cut]), offer=(*PIPELINING, "AUTH LOGIN"))
    failure = await fails(mx, timeouts=Timeouts(5, 5, 5, 5, auth_s=0.3))
    assert isinstance(failure, ConnectTimeout if cut is Cut.SILENCE else ConnectLost)
    assert failure.stage is Stage.AUTH


async def test_no_mechanism_we_know(context: ssl.SSLContext) -> None:
    """Nothing is sent to a relay that does not ask who we are: it is not the one that was meant."""
    mx = relay(context, offer=(*PIPELINING, "AUTH GSSAPI"))
    assert (await fails(mx)).stage is Stage.LOCAL


async def test_d6_auth_that_was_offered_in_clear(context: ssl.SSLContext) -> None:
    """D6, D13: a relay that asks for a login in clear and not inside TLS is shown none: the first list is forgotten."""
    mx = FakeMX(OFFER, PIPELINING, context=context)
    assert (await fails(mx)).stage is Stage.LOCAL
    assert not has_shown_it(mx)


async def test_verified_without_a_login(context: ssl.SSLContext) -> None:
    """A route may demand a certificate alone."""
    async with relay(context).serving() as mx:
        owner = Owner(mx, transactions(1), Pattern.AUTO, tls=Demand.VERIFIED)
        await owner.run()
        assert owner.kinds() == [Accepted]
        assert not has_shown_it(mx)
