"""From the TCP connection to the second EHLO, against a scripted server."""

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from mta.model.outcome import Stage
from mta.model.path import EgressSource
from mta.model.tls import Demand
from mta.smtp.fact import Accepted, Ended, Lost
from mta.smtp.opening import (
    ConnectFailed,
    ConnectGarbled,
    ConnectLost,
    ConnectRefused,
    ConnectTimeout,
    Dial,
    TlsFailed,
    Unreachable,
    open_transport,
)
from mta.smtp.settings import Pattern, Timeouts
from tests.fakes.smtp_server import CHUNKING, PIPELINING, Cut, FakeMX, Hold, On
from tests.fakes.trust import of_nobody, trusted, unreadable
from tests.integration.smtp.owner import SOURCE, Later, Owner, transactions


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    return of_nobody()


PHASES = {"banner": Stage.CONNECT, "ehlo": Stage.HELO, "starttls": Stage.TLS, "ehlo2": Stage.HELO}
phases = pytest.mark.parametrize("phase", PHASES)


async def fails(mx: FakeMX, **options: object) -> ConnectFailed:
    """The failure to open a connection to it."""
    async with mx.serving():
        owner = Owner(mx, transactions(1), Pattern.AUTO, **options)
        with pytest.raises(ConnectFailed) as caught:
            await owner.open()
        return caught.value


def at(phase: str, *steps: bytes | Cut | Hold) -> On:
    if phase in ("ehlo", "ehlo2"):
        return On("ehlo", steps, in_tls=phase == "ehlo2")
    return On(phase, steps)


@phases
@pytest.mark.parametrize("cut", [Cut.CLOSE, Cut.RESET])
async def test_b2_b3_cut(phase: str, cut: Cut, context: ssl.SSLContext) -> None:
    """FIN or RST at each phase is a lost connection, inside STARTTLS a failure of TLS."""
    failure = await fails(FakeMX(PIPELINING, [], [at(phase, cut)], context=context))
    assert isinstance(failure, TlsFailed if phase == "starttls" else ConnectLost)
    assert isinstance(failure, ConnectionError)
    assert failure.stage is PHASES[phase]
    assert failure.reply is None


@pytest.mark.parametrize("phase", ["ehlo", "ehlo2"])
@pytest.mark.parametrize("cut", [Cut.CLOSE, Cut.RESET])
async def test_b2_b3_cut_right_behind_the_last_reply(phase: str, cut: Cut, context: ssl.SSLContext) -> None:
    """FIN or RST in one piece with the reply to EHLO: lost, before there is a connection or as soon as there is."""
    rule = at(phase, b"250 mx.test\r\n", cut)
    async with FakeMX(PIPELINING, [], [rule], context=context if phase == "ehlo2" else None).serving() as mx:
        owner = Owner(mx, transactions(1), Pattern.AUTO)
        with contextlib.suppress(ConnectLost):
            await owner.run_one()
            assert owner.kinds() == [Lost, Ended]


@phases
async def test_b1_stall(phase: str, context: ssl.SSLContext) -> None:
    """Silence ends at the limit of the phase."""
    timeouts = Timeouts(5, 0.2, 0.2, 0.2)
    failure = await fails(
        FakeMX(PIPELINING, [], [at(phase, Cut.SILENCE)], context=context), timeouts=timeouts
    )
    assert isinstance(failure, TlsFailed if phase == "starttls" else ConnectTimeout)
    assert failure.stage is PHASES[phase]


@phases
@pytest.mark.parametrize(
    "reply", [b"421 4.3.2 busy\r\n", b"450 later\r\n", b"554-no\r\n554 never\r\n", b"521 no mail\r\n"]
)
async def test_b4_b5_b6_refused(phase: str, reply: bytes, context: ssl.SSLContext) -> None:
    """A well-formed refusal is told with its reply; of STARTTLS only 421 ends the connection."""
    if phase == "starttls" and not reply.startswith(b"421"):
        return
    failure = await fails(FakeMX(PIPELINING, [], [at(phase, reply)], context=context))
    assert isinstance(failure, ConnectRefused)
    assert failure.stage is PHASES[phase]
    assert failure.reply is not None
    assert failure.reply.code == int(reply[:3])


@phases
@pytest.mark.parametrize(
    "junk",
    [
        b"22 x\r\n",
        b" 220 x\r\n",
        b"550-no\r\n220 ok\r\n",
        b"550-no\r\n250 ok\r\n",
        b"+20 x\r\n",
        b"\r\n",
        b"999 x\r\n",
        b"2200 x\r\n",
        b"2500 x\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"354 go on\r\n",
        b"x" * 1_000_000,
        b"250-x\r\n" * 10_000,
    ],
)
async def test_b8_b13_garbage(phase: str, junk: bytes, context: ssl.SSLContext) -> None:
    """What aiosmtplib would take for a code is a protocol error here, at each phase."""
    timeouts = Timeouts(5, 0.3, 0.3, 0.3)
    failure = await fails(FakeMX(PIPELINING, [], [at(phase, junk)], context=context), timeouts=timeouts)
    # Without a line end there is no reply yet, only time that passes.
    is_open_end = junk.startswith(b"\x16")
    assert isinstance(failure, (ConnectTimeout, TlsFailed) if is_open_end else ConnectGarbled)


@phases
@pytest.mark.parametrize("stray", [b"250 x\r\n", b"2", b"\0"])
async def test_t01_bytes_behind_a_reply(phase: str, stray: bytes, context: ssl.SSLContext) -> None:
    """T-01, D5: bytes behind the banner, EHLO's reply or the 220 to STARTTLS close the connection (CVE-2021-38371)."""
    good = b"220 ok\r\n" if phase in ("banner", "starttls") else b"250-mx.test\r\n250 STARTTLS\r\n"
    mx = FakeMX(PIPELINING, [], [at(phase, good + stray)], context=context)
    failure = await fails(mx)
    assert isinstance(failure, ConnectGarbled)
    assert failure.stage is PHASES[phase]
    assert not any(line.startswith(b"MAIL") for _, line in mx.lines)


async def test_t01_plaintext_in_a_segment_of_its_own(context: ssl.SSLContext) -> None:
    """T-01, D5: plaintext that comes after the 220, before the handshake, never reaches the session inside TLS."""
    mx = FakeMX(PIPELINING, [], [On("handshake", [b"250 injected\r\n"])], context=context)
    failure = await fails(mx, timeouts=Timeouts(5, 5, 5, 1))
    assert isinstance(failure, TlsFailed | ConnectGarbled)


async def test_t01_nothing_is_sent_ahead(context: ssl.SSLContext) -> None:
    """T-01, D5: what is written behind STARTTLS, before its reply, would be outside TLS."""
    wait = On("starttls", [Hold(Later(0.1)), Cut.CLOSE])
    async with FakeMX(PIPELINING, [], [wait], context=context).serving() as mx:
        owner = Owner(mx, transactions(1), Pattern.AUTO)
        with pytest.raises(TlsFailed):
            await owner.open()
        assert bytes(mx.wires[0]) == b"EHLO client.test\r\nSTARTTLS\r\n"


@pytest.mark.parametrize(
    "hidden", [b"250 x\r\n", b"250 x\r\n250 x\r\n354 x\r\n250 x\r\n", b"220-", b"\r\n"], ids=repr
)
async def test_t01_replies_that_lie_in_wait(hidden: bytes, context: ssl.SSLContext) -> None:
    """T-01, D5: replies prepared in clear to all that is to be said inside TLS are taken for none of them."""
    clear = On("starttls", [b"220 go ahead\r\n" + hidden])
    async with FakeMX(PIPELINING, [], [clear], context=context).serving() as mx:
        owner = Owner(mx, transactions(1), Pattern.AUTO)
        with pytest.raises(ConnectGarbled):
            await owner.open()
        assert owner.facts == []
        assert mx.lines[-1][1] == b"STARTTLS\r\n"


async def test_d6_only_the_second_list_counts(context: ssl.SSLContext) -> None:
    """T-01, D6: what was offered in clear is forgotten inside TLS, and EHLO said again."""
    async with FakeMX(CHUNKING, ["SIZE 7", "PIPELINING"], context=context).serving() as mx:
        owner = Owner(mx, transactions(1, b"x\r\n"), Pattern.AUTO)
        await owner.run()
        (connection,) = owner.connections
        assert not connection.offer.chunking
        assert not connection.offer.starttls
        assert connection.offer.size_limit == 7
        assert connection.tls_version in ("TLSv1.2", "TLSv1.3")
        assert [line[:4] for _, line in mx.lines[:3]] == [b"EHLO", b"STAR", b"EHLO"]


async def test_b27_helo(context: ssl.SSLContext) -> None:
    """S-03: EHLO unknown: HELO, no extensions; both refused: refused."""
    for code in (b"500", b"502", b"504"):
        async with FakeMX(CHUNKING, rules=[On("ehlo", [code + b" what?\r\n"])]).serving() as mx:
            owner = Owner(mx, transactions(2), Pattern.AUTO)
            await owner.run()
            assert owner.kinds() == [Accepted] * 2
            assert mx.commands(0)[:3] == [
                b"EHLO client.test\r\n",
                b"HELO client.test\r\n",
                b"MAIL FROM:<s@a.test>\r\n",
            ]
    both = [On("ehlo", [b"502 no\r\n"]), On("helo", [b"550 no\r\n"])]
    failure = await fails(FakeMX(rules=both))
    assert isinstance(failure, ConnectRefused)
    assert failure.stage is Stage.HELO
    other = await fails(FakeMX(rules=[On("ehlo", [b"550 no\r\n"])]))
    assert isinstance(other, ConnectRefused)


async def test_d1_starttls_refused(context: ssl.SSLContext) -> None:
    """D1: 454 to STARTTLS: opportunistic goes on in clear, and says so."""
    rule = On("starttls", [b"454 4.7.0 not now\r\n"])
    async with FakeMX(PIPELINING, [], [rule], context=context).serving() as mx:
        owner = Owner(mx, transactions(2), Pattern.AUTO)
        await owner.run()
        (connection,) = owner.connections
        assert connection.tls_version == ""
        assert connection.tls_refusal is not None
        assert connection.tls_refusal.code == 454
        assert owner.kinds() == [Accepted] * 2


@pytest.mark.parametrize("step", [Cut.CLOSE, Cut.RESET, Cut.SILENCE, b"garbage, not a handshake\r\n" * 100])
async def test_d2_handshake_fails(step: Cut | bytes, context: ssl.SSLContext) -> None:
    """D2: a handshake that fails is told apart; with `tls_broken` the next connection stays in clear (T-02, T-03)."""
    mx = FakeMX(PIPELINING, [], [On("handshake", [step])], context=context)
    failure = await fails(mx, timeouts=Timeouts(5, 5, 5, 0.5))
    assert isinstance(failure, TlsFailed | ConnectGarbled)
    async with mx.serving():
        owner = Owner(mx, transactions(1), Pattern.AUTO, tls_broken=True)
        await owner.run()
        assert owner.kinds() == [Accepted]
        assert owner.connections[0].tls_version == ""


async def test_d3_a_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    """D3: its chain and its name are good, and another name in it is no text: a failure of TLS, and not more."""
    ca = trustme.CA()
    with trusted(ca, tmp_path):
        failure = await fails(
            FakeMX(PIPELINING, context=unreadable(ca, "mx.test")), tls=Demand.VERIFIED, c_verdict=None
        )
    assert isinstance(failure, TlsFailed)
    assert "cannot be read" in failure.detail


async def test_t02_old_tls_is_refused() -> None:
    """T-02 (RFC 8996): a server with nothing above TLS 1.1 is not spoken to inside TLS."""
    old = of_nobody()
    old.set_ciphers("ALL:@SECLEVEL=0")
    old.options &= ~(ssl.OP_NO_TLSv1_1 | ssl.OP_NO_TLSv1)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    assert isinstance(await fails(FakeMX(PIPELINING, context=old)), TlsFailed)


async def test_d9_a_client_certificate_is_asked_for() -> None:
    """D9: we have none, and go on without."""
    asking = of_nobody()
    asking.verify_mode = ssl.CERT_OPTIONAL
    asking.load_default_certs()
    async with FakeMX(PIPELINING, context=asking).serving() as mx:
        owner = Owner(mx, transactions(1), Pattern.AUTO)
        await owner.run()
        assert owner.kinds() == [Accepted]
        assert owner.connections[0].tls_version


async def test_nobody_listens() -> None:
    """A refused TCP connection is told as lost, at the stage of connecting."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        dial = Dial(host="127.0.0.1", port=taken.getsockname()[1], source=SOURCE)
        with pytest.raises(ConnectLost) as caught:
            await open_transport(dial)
        assert caught.value.stage is Stage.CONNECT


async def test_the_source_address_is_bound() -> None:
    """S-03: a source with an address is seen as that address, with its own EHLO name."""
    async with FakeMX(PIPELINING).serving() as mx:
        source = EgressSource("a2", "two.test", "127.0.0.2")
        opened = await open_transport(Dial(host="127.0.0.1", port=mx.port, source=source))
        assert opened.transport.get_extra_info("sockname")[0] == "127.0.0.2"
        assert mx.commands(0) == [b"EHLO two.test\r\n"]
        opened.greeter.abort()


async def test_cancelled_while_it_waits() -> None:
    """A cancelled opening leaves no connection behind."""
    async with FakeMX(PIPELINING, rules=[On("banner", [Cut.SILENCE])]).serving() as mx:
        task = asyncio.create_task(open_transport(Dial(host="127.0.0.1", port=mx.port, source=SOURCE)))
        await mx.until(lambda: mx.connections == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await mx.until(lambda: not mx.clients)


async def test_b10_banner_in_forty_segments() -> None:
    """A reply cut anywhere is read, split inside the code and inside CRLF alike."""
    events = [asyncio.Event() for _ in range(40)]
    text = b"220-one\r\n220-two\r\n220 three and some more\r\n"
    steps: list[bytes | Hold] = []
    for number, event in enumerate(events):
        steps += [text[number : number + 1], Hold(event)]
    steps.append(text[40:])
    async with FakeMX(PIPELINING, rules=[On("banner", steps)]).serving() as mx:
        task = asyncio.create_task(open_transport(Dial(host="127.0.0.1", port=mx.port, source=SOURCE)))
        for event in events:
            event.set()
            await asyncio.sleep(0)
        opened = await task
        assert opened.banner.lines == ("one", "two", "three and some more")
        opened.greeter.abort()


PATIENT = Timeouts(60, 60, 60, 60, 60, 60, 60, 60, 60, 60, auth_s=60)


@pytest.mark.parametrize(
    ("limit", "rule", "stage"),
    [
        ("greeting_s", On("banner", [Cut.SILENCE]), Stage.CONNECT),
        ("ehlo_s", On("ehlo", [Cut.SILENCE], in_tls=False), Stage.HELO),
        ("tls_s", On("starttls", [Cut.SILENCE]), Stage.TLS),
        ("tls_s", On("handshake", [Cut.SILENCE]), Stage.TLS),
        ("ehlo_s", On("ehlo", [Cut.SILENCE], in_tls=True), Stage.HELO),
    ],
)
async def test_s04_each_phase_has_its_limit(
    limit: str, rule: On, stage: Stage, context: ssl.SSLContext
) -> None:
    """S-04, B1: silence ends at the limit of its own phase, all others being a minute."""
    async with asyncio.timeout(10):
        failure = await fails(
            FakeMX(PIPELINING, [], [rule], context=context), timeouts=replace(PATIENT, **{limit: 0.2})
        )
    assert failure.stage is stage


async def test_s04_connecting_has_its_limit() -> None:
    """S-04, B1: a host that answers no SYN is left after `connect`; a listener whose queue is full is one."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        dial = Dial(
            host="mx.test",
            address="127.0.0.1",
            port=port,
            source=SOURCE,
            timeouts=replace(PATIENT, connect_s=0.2),
        )
        async with asyncio.timeout(5):
            with pytest.raises(Unreachable) as caught:
                await open_transport(dial)
        assert caught.value.stage is Stage.CONNECT
        for one in waiting:
            one.close()


async def test_b9_drip() -> None:
    """B9: a banner that comes byte by byte has no more time than another."""
    steps: list[bytes | Hold] = []
    for _ in range(200):
        steps += [b"2", Hold(Later(0.02))]
    async with asyncio.timeout(10):
        failure = await fails(
            FakeMX(rules=[On("banner", [b"220-", *steps])]), timeouts=replace(PATIENT, greeting_s=0.2)
        )
    assert isinstance(failure, ConnectTimeout)


async def test_b28_a_late_greeting() -> None:
    """B28: the greeting has its own time, whatever the other limits are."""
    late = On("banner", [Hold(Later(0.3)), b"220 mx.test\r\n"])
    async with FakeMX(PIPELINING, rules=[late]).serving() as mx:
        owner = Owner(mx, transactions(1), Pattern.AUTO, timeouts=Timeouts(0.2, 5, 5, 5, 5, 5, 5, 5, 5, 1))
        await owner.run()
        assert owner.kinds() == [Accepted]


@pytest.mark.parametrize("phase", ["ehlo", "ehlo2"])
async def test_requiretls_counts_inside_tls_only(phase: str, context: ssl.SSLContext) -> None:
    """REQUIRETLS (RFC 8689 section 2): whoever offers it in clear may be anybody."""
    offers, tls_offers = ["PIPELINING", "REQUIRETLS"], ["PIPELINING"]
    if phase == "ehlo2":
        offers, tls_offers = tls_offers, offers
    async with FakeMX(offers, tls_offers, context=context).serving() as mx:
        secure, clear = (
            Owner(mx, transactions(1), Pattern.AUTO, tls=one) for one in (Demand.OPPORTUNISTIC, Demand.NONE)
        )
        for owner in (secure, clear):
            owner.waiting = [replace(one, requiretls=True) for one in owner.waiting]
            await owner.run_one()
        assert (secure.kinds() == [Accepted]) == (phase == "ehlo2")
        assert [fact.kind for fact in clear.impossible] == ["requiretls"]


@pytest.mark.parametrize(
    "reply", [b"421 4.3.2 busy\r\n", b"450 4.3.2 later\r\n", b"550 5.7.1 who are you\r\n"]
)
async def test_s03_ehlo_refused_is_no_helo(reply: bytes) -> None:
    """S-03: only a server that does not know EHLO is said HELO to; any other refusal is one."""
    mx = FakeMX(rules=[On("ehlo", [reply])])
    assert isinstance(await fails(mx), ConnectRefused)
    assert mx.commands(0) == [b"EHLO client.test\r\n"]
