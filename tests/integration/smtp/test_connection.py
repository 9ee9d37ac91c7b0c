"""Connections to a scripted server over real sockets: every pattern, every fault, in clear and inside TLS."""

import asyncio
import ssl
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mta.model.message import Envelope
from mta.model.outcome import Stage
from mta.smtp.fact import Accepted, Ended, Impossible, Lost, Refused, Transaction, Unsent
from mta.smtp.opening import ConnectFailed
from mta.smtp.settings import Dsn, Pattern, Timeouts
from tests.fakes.smtp_server import CHUNKING, PIPELINING, Cut, FakeMX, Hold, On
from tests.fakes.trust import of_nobody
from tests.integration.smtp.owner import WIRE, Later, Owner, transactions

A, B, C, CB, E = Pattern.A, Pattern.B, Pattern.C, Pattern.CB, Pattern.E
OFFERS = {A: (), B: PIPELINING, C: PIPELINING, CB: CHUNKING, E: CHUNKING}
patterns = pytest.mark.parametrize("pattern", OFFERS)
links = pytest.mark.parametrize("is_tls", [False, True], ids=["clear", "tls"])


@pytest.fixture(scope="module")
def context() -> ssl.SSLContext:
    return of_nobody()


def bodies(mx: FakeMX) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    for each in mx.accepted:
        found.setdefault(each.recipient, []).append(each.body)
    return found


@patterns
@links
async def test_every_pattern(pattern: Pattern, is_tls: bool, context: ssl.SSLContext) -> None:
    """Thirty messages on one connection, each accepted once, byte for byte, then QUIT."""
    async with FakeMX(OFFERS[pattern], context=context if is_tls else None).serving() as mx:
        owner = Owner(mx, transactions(30), pattern)
        await owner.run()
        assert owner.kinds() == [Accepted] * 30
        assert bodies(mx) == {f"r{number}@b.test": [WIRE] for number in range(30)}
        assert mx.connections == 1
        assert mx.commands(0)[-1] == b"QUIT\r\n"
        (connection,) = owner.connections
        assert connection.served == 30
        assert connection.peer_ip == "127.0.0.1"
        assert connection.tls_version.startswith("TLSv1.") == is_tls
        assert bool(connection.tls_cipher) == is_tls


@patterns
@links
async def test_large_bodies(pattern: Pattern, is_tls: bool, context: ssl.SSLContext) -> None:
    """A hundred kilobytes and more go out in blocks and arrive as they are."""
    wire = b".x\r\n" * 100 + b"y" * 70 + b"\r\n.\r\n" * 20000 + b"end\r\n"
    async with FakeMX(OFFERS[pattern], context=context if is_tls else None).serving() as mx:
        owner = Owner(mx, transactions(3, wire), pattern)
        await owner.run()
        assert owner.kinds() == [Accepted] * 3
        assert all(found == [wire] for found in bodies(mx).values())


@pytest.mark.parametrize("pattern", [A, CB])
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lines=st.lists(st.sampled_from([b"", b".", b"..", b".x", b"x", b"...", b"QUIT", b"x" * 998]), min_size=1)
)
def test_s13_dot_stuffing(pattern: Pattern, lines: list[bytes]) -> None:
    """S-13: any lines arrive as they are, by DATA and by BDAT (B30)."""
    wire = b"".join(line + b"\r\n" for line in lines)

    async def send() -> None:
        async with FakeMX(OFFERS[pattern]).serving() as mx:
            owner = Owner(mx, transactions(1, wire), pattern)
            await owner.run()
            assert bodies(mx) == {"r0@b.test": [wire]}
            assert mx.accepted[0].verb == ("DATA" if pattern is A else "BDAT")

    asyncio.run(send())


STAGES = {"mail": Stage.MAIL, "rcpt": Stage.RCPT, "data": Stage.DATA, "dot": Stage.END_OF_DATA}
cells = pytest.mark.parametrize(
    ("pattern", "phase"),
    [(pattern, phase) for pattern in OFFERS for phase in STAGES if phase != "data" or pattern in (A, B, C)],
)


@cells
@pytest.mark.parametrize("cut", [Cut.CLOSE, Cut.RESET])
@links
async def test_b2_b3_cut(
    pattern: Pattern, phase: str, cut: Cut, is_tls: bool, context: ssl.SSLContext
) -> None:
    """FIN or RST at each phase of the second message: the first stands, the second by the rule, the third
    is sent. With E of the fourth: only from the third on are whole transactions in flight."""
    cut_at = 4 if pattern is E else 2
    rule = On(phase, [cut], number=cut_at, connection=0)
    async with FakeMX(OFFERS[pattern], rules=[rule], context=context if is_tls else None).serving() as mx:
        owner = Owner(mx, transactions(cut_at + 1), pattern)
        await owner.run()
        if pattern is E:
            # The server's FIN may overtake the replies to those before.
            assert all(isinstance(fact, Accepted | Lost) for number in range(5) for fact in owner.of(number))
        else:
            assert isinstance(owner.of(0)[0], Accepted) or cut is Cut.RESET
            assert isinstance(owner.of(2)[0], Accepted)
        (fact,) = owner.of(cut_at - 1)
        if isinstance(fact, Lost):
            assert fact.ambiguous == (phase == "dot" or pattern is E)
        else:
            assert isinstance(fact, Accepted)
            assert phase == "mail"
        assert all(count == 1 for count in Counter(each.recipient for each in mx.accepted).values())


@cells
@pytest.mark.parametrize("code", [450, 550])
async def test_b5_b6_refused(pattern: Pattern, phase: str, code: int) -> None:
    """A refusal of the second message leaves the others and the connection alone."""
    rule = On(phase, [b"%d 5.0.0 no\r\n" % code], number=2)
    async with FakeMX(OFFERS[pattern], rules=[rule]).serving() as mx:
        owner = Owner(mx, transactions(4), pattern)
        await owner.run()
        (fact,) = owner.of(1)
        assert isinstance(fact, Refused)
        assert (fact.stage, fact.reply.code) == (STAGES[phase], code)
        assert [type(owner.of(number)[0]) for number in (0, 2, 3)] == [Accepted] * 3
        assert mx.connections == 1
        assert all(each.sender == "s@a.test" for each in mx.accepted)


@cells
@pytest.mark.parametrize("is_closing", [True, False], ids=["closes", "stays"])
async def test_b4_421(pattern: Pattern, phase: str, is_closing: bool) -> None:
    """S-06: 421 at each phase: nothing more is written there, the rest goes over another connection."""
    rule = On(phase, [b"421 4.3.2 bye\r\n", *([Cut.CLOSE] if is_closing else [])], number=2, connection=0)
    async with FakeMX(OFFERS[pattern], rules=[rule]).serving() as mx:
        owner = Owner(mx, transactions(4), pattern, timeouts=Timeouts(5, 5, 5, 5, 5, 5, 5, 5, 5, 1))
        await owner.run()
        assert not any(isinstance(fact, Refused) for fact in owner.facts)
        assert isinstance(owner.of(0)[0], Accepted)
        (fact,) = owner.of(1)
        if phase != "mail":
            assert isinstance(fact, Lost)
            assert fact.reply is not None
            assert fact.ambiguous == (phase == "dot")
        assert owner.ended[0].reply is not None


@cells
@pytest.mark.parametrize("junk", [b"25 x\r\n", b"550-no\r\n250 ok\r\n", b"\r\n", b"x" * 1_000_000])
async def test_b8_b13_garbage(pattern: Pattern, phase: str, junk: bytes) -> None:
    """Garbage at each phase is nobody's verdict."""
    async with FakeMX(OFFERS[pattern], rules=[On(phase, [junk], number=1)]).serving() as mx:
        owner = Owner(mx, transactions(1), pattern)
        await owner.run_one()
        (fact,) = owner.of(0)
        assert isinstance(fact, Lost)
        assert fact.ambiguous == (phase == "dot")
        assert owner.ended[0].is_error


@cells
@pytest.mark.parametrize("stray", [b"250 stray\r\n", b"550 stray\r\n"])
async def test_b12_stray(pattern: Pattern, phase: str, stray: bytes) -> None:
    """A reply too many in the same segment is never a delivery and never a refusal."""
    usual = b"354 go\r\n" if phase == "data" else b"250 ok\r\n"
    async with FakeMX(OFFERS[pattern], rules=[On(phase, [usual + stray], number=1)]).serving() as mx:
        owner = Owner(mx, transactions(1), pattern)
        await owner.run_one()
        (fact,) = owner.of(0)
        assert isinstance(fact, Lost)


@pytest.mark.parametrize("pattern", [A, B, C])
@pytest.mark.parametrize("phase", ["mail", "rcpt"])
async def test_b12_stray_one_segment_later(pattern: Pattern, phase: str) -> None:
    """A reply too many that comes on its own before the body is found out at DATA."""
    later = asyncio.Event()
    rule = On(phase, [b"250 ok\r\n", Hold(later), b"250 stray\r\n"], number=1)
    async with FakeMX(OFFERS[pattern], rules=[rule]).serving() as mx:
        owner = Owner(mx, transactions(1), pattern)
        connection = await owner.open()
        connection.submit(owner.waiting.pop())
        asyncio.get_running_loop().call_later(0.001, later.set)
        await owner.closed()
        (fact,) = owner.of(0)
        assert isinstance(fact, Lost)
        assert not mx.accepted


USUAL = {
    "banner": b"220 mx\r\n",
    "ehlo": b"250-mx\r\n250-PIPELINING\r\n250 CHUNKING\r\n",
    "data": b"354 go\r\n",
}


PATIENT = Timeouts(5, 5, 5, 5, 5, 5, 5, 5, 5, 2, quiet_s=1.0)
"""The server's next reply may be late on a busy machine."""


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("stray", [b"250 stray\r\n", b"550 stray\r\n"])
@pytest.mark.parametrize(
    ("pattern", "phase"),
    [(A, "banner"), (A, "ehlo"), (CB, "ehlo")]
    + [(pattern, phase) for pattern in OFFERS for phase in STAGES if phase != "data" or pattern in (A, B, C)],
)
async def test_b12_stray_a_millisecond_later(pattern: Pattern, phase: str, stray: bytes, count: int) -> None:
    """A reply too many that comes on its own behind any reply up to that to the dot: the message is not
    delivered, and not refused."""
    rule = On(phase, [USUAL.get(phase, b"250 ok\r\n"), Hold(Later()), stray], connection=0, times=1)
    async with FakeMX(OFFERS[pattern], rules=[rule]).serving() as mx:
        owner = Owner(mx, transactions(count), pattern, timeouts=PATIENT)
        try:
            await owner.run_one()
        except ConnectFailed:
            assert phase not in STAGES
            return
        (fact,) = owner.of(0)
        assert isinstance(fact, Lost)
        assert not any(isinstance(fact, Refused) for fact in owner.facts)


async def test_b12_verdicts_do_not_hold_up_the_next() -> None:
    """With every verdict held back for the next flight thirty messages take no longer than their replies."""
    async with FakeMX(PIPELINING).serving() as mx:
        owner = Owner(mx, transactions(30), B)
        began = asyncio.get_running_loop().time()
        await owner.run()
        assert asyncio.get_running_loop().time() - began < 30 * Timeouts().quiet_s / 2
        assert owner.kinds() == [Accepted] * 30


async def test_b12_reply_on_an_idle_connection() -> None:
    """A reply to nothing poisons the connection: the next transaction is not sent on it."""
    async with FakeMX(
        PIPELINING, rules=[On("dot", [b"250 ok\r\n", Hold(event := asyncio.Event()), b"250 x\r\n"])]
    ).serving() as mx:
        owner = Owner(mx, [], B)
        owner.is_staying = True
        connection = await owner.open()
        connection.submit(transactions(1)[0])
        await owner.told()
        event.set()
        await owner.closed()
        assert owner.kinds() == [Accepted, Ended]
        assert not connection.is_usable
        assert len(mx.accepted) == 1


async def test_b19_two_hundred_with_refusals() -> None:
    """200 transactions with 12 x 550 and 8 x 450 at RCPT: 180 accepted, 20 refused, each as it was said."""
    rules = [On("rcpt", [b"550 5.1.1 no\r\n"], recipient=f"r{n}@b.test") for n in range(5, 200, 17)]
    rules += [On("rcpt", [b"450 4.2.1 later\r\n"], recipient=f"r{n}@b.test") for n in range(8, 160, 20)]
    for pattern in (B, C, CB, E):
        async with FakeMX(OFFERS[pattern], rules=rules).serving() as mx:
            owner = Owner(mx, transactions(200), pattern, messages=1000)
            await owner.run()
            refused = Counter(fact.reply.code for fact in owner.facts if isinstance(fact, Refused))
            assert refused == {550: 12, 450: 8}
            assert len(mx.accepted) == len({each.recipient for each in mx.accepted}) == 180
            assert sum(isinstance(fact, Accepted) for fact in owner.facts) == 180
            assert mx.connections == 1


@pytest.mark.parametrize("pattern", [B, C])
async def test_b20_354_without_a_recipient(pattern: Pattern) -> None:
    """All RCPT refused, then 354: closed, and no dot on the wire."""
    rules = [On("rcpt", [b"550 no\r\n"]), On("data", [b"354 go on\r\n"])]
    async with FakeMX(PIPELINING, rules=rules).serving() as mx:
        owner = Owner(mx, transactions(1), pattern)
        await owner.run_one()
        assert owner.kinds() == [Refused, Ended]
        assert mx.wires[0].endswith(b"DATA\r\n")
        assert not mx.received


@links
async def test_haraka_like(is_tls: bool, context: ssl.SSLContext) -> None:
    """503 behind the dot: learned on the first connection, nothing lost, nothing doubled, B from then on."""
    async with FakeMX(PIPELINING, after_dot="haraka", context=context if is_tls else None).serving() as mx:
        owner = Owner(mx, transactions(20), Pattern.AUTO, c_verdict=None)
        await owner.run()
        assert owner.learned == [False]
        assert [type(owner.of(number)[0]) for number in range(20)] == [Accepted] * 20
        assert bodies(mx) == {f"r{number}@b.test": [WIRE] for number in range(20)}
        assert mx.connections == 1


@links
async def test_chasquid_like(is_tls: bool, context: ssl.SSLContext) -> None:
    """Silence behind the dot: given up at the deadline, learned, the rest by B over a new connection."""
    async with FakeMX(PIPELINING, after_dot="drop", context=context if is_tls else None).serving() as mx:
        timeouts = Timeouts(5, 5, 5, 5, 0.3, 5, 5, 5, 5, 1)
        owner = Owner(mx, transactions(20), Pattern.AUTO, c_verdict=None, timeouts=timeouts)
        await owner.run()
        assert owner.learned == [False]
        assert bodies(mx) == {f"r{number}@b.test": [WIRE] for number in range(20)}
        assert [type(owner.of(number)[0]) for number in range(20)] == [Accepted] * 20
        assert mx.connections == 2


@pytest.mark.parametrize("banner", [b"220 mx ESMTP Haraka/3.3.4 ready\r\n", b"220 mx ESMTP chasquid\r\n"])
async def test_known_banners_are_not_probed(banner: bytes) -> None:
    """Where the banner says so nothing is sent behind a dot."""
    async with FakeMX(PIPELINING, banner=banner, after_dot="drop").serving() as mx:
        owner = Owner(mx, transactions(5), Pattern.AUTO, c_verdict=None)
        await owner.run()
        assert owner.kinds() == [Accepted] * 5
        assert mx.connections == 1


async def test_a_good_host_is_learned() -> None:
    """C on an unknown host that stands it: learned once, every message once."""
    async with FakeMX(PIPELINING).serving() as mx:
        owner = Owner(mx, transactions(20), Pattern.AUTO, c_verdict=None)
        await owner.run()
        assert owner.learned == [True]
        assert bodies(mx) == {f"r{number}@b.test": [WIRE] for number in range(20)}


async def test_s19_closed_after_some_messages() -> None:
    """S-19: a server that closes after each fifth message costs reconnects and no attempt."""
    async with FakeMX(CHUNKING, rules=[On("mail", [Cut.CLOSE], number=6)]).serving() as mx:
        owner = Owner(mx, transactions(20), CB)
        await owner.run()
        assert not any(isinstance(fact, Lost | Refused) for fact in owner.facts)
        assert bodies(mx) == {f"r{number}@b.test": [WIRE] for number in range(20)}
        assert not any(ended.is_error for ended in owner.ended)


async def test_b25_closed_just_as_it_is_used_again() -> None:
    """The peer closed while we wrote: the message is not lost and not counted."""
    async with FakeMX(PIPELINING, rules=[On("mail", [Cut.RESET], number=2, connection=0)]).serving() as mx:
        owner = Owner(mx, transactions(2), B)
        await owner.run()
        assert [type(fact) for fact in owner.facts] == [Accepted, Unsent, Ended, Accepted]


@pytest.mark.parametrize("phase", ["mail", "rcpt", "data", "dot"])
async def test_b1_stall(phase: str) -> None:
    """Silence ends the connection at the limit of the phase."""
    limits = {"mail": 0, "rcpt": 1, "data": 2, "dot": 3}
    values = [5.0, 5.0, 5.0, 5.0]
    values[limits[phase]] = 0.2
    timeouts = Timeouts(5, 5, 5, 5, values[0], values[1], values[2], 5, values[3], 1)
    async with FakeMX(PIPELINING, rules=[On(phase, [Cut.SILENCE])]).serving() as mx:
        owner = Owner(mx, transactions(1), B, timeouts=timeouts)
        began = asyncio.get_running_loop().time()
        await owner.run_one()
        assert asyncio.get_running_loop().time() - began < 2
        (fact,) = owner.of(0)
        assert isinstance(fact, Lost)
        assert fact.stage is STAGES[phase]


async def test_b17_a_peer_that_stops_reading() -> None:
    """30 MB to a peer that does not read: what we hold beyond the message is about a block, and it ends in
    time."""
    wire = b"x" * 78 + b"\r\n"
    wire *= 30_000_000 // len(wire)
    stuck = asyncio.Event()

    class Deaf(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self._transport = transport
            transport.write(b"220 mx\r\n")  # type: ignore[attr-defined]

        def data_received(self, data: bytes) -> None:
            replies = {b"EHLO": b"250-mx\r\n250 PIPELINING\r\n", b"MAIL": b"250 a\r\n250 b\r\n354 c\r\n"}
            self._transport.write(replies.get(data[:4], b""))  # type: ignore[attr-defined]
            if data[:4] == b"MAIL":
                self._transport.pause_reading()  # type: ignore[attr-defined]
                stuck.set()

        def close(self) -> None:
            self._transport.abort()  # type: ignore[attr-defined]

    deaf = Deaf()

    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: deaf, "127.0.0.1", 0)
    mx = FakeMX(PIPELINING)
    mx.port = server.sockets[0].getsockname()[1]
    owner = Owner(mx, transactions(1, wire), B, timeouts=Timeouts(5, 5, 5, 5, 5, 5, 5, 0.5, 5, 1))
    connection = await owner.open()
    connection.submit(owner.waiting.pop())
    await stuck.wait()
    assert connection._transport.get_write_buffer_size() < 300_000
    await owner.closed()
    (fact,) = owner.of(0)
    assert isinstance(fact, Lost)
    assert (fact.stage, fact.ambiguous) == (Stage.DATA, False)
    deaf.close()
    server.close()
    await server.wait_closed()


async def test_abort_and_quit() -> None:
    """The owner may give up a connection at any time, and leave an idle one politely."""
    async with FakeMX(PIPELINING, rules=[On("dot", [Cut.SILENCE], connection=0)]).serving() as mx:
        owner = Owner(mx, transactions(1), B)
        connection = await owner.open()
        connection.submit(owner.waiting.pop())
        await mx.until(lambda: bool(mx.received))
        connection.abort("lease over")
        await owner.closed()
        (fact,) = owner.of(0)
        assert isinstance(fact, Lost)
        assert (fact.detail, fact.ambiguous) == ("lease over", True)
        other = await owner.open()
        other.quit()
        assert other.room == 0
        await owner.closed()
        assert mx.commands(1)[-1] == b"QUIT\r\n"


async def test_b23_size_too_small() -> None:
    """Too large for the peer: known before MAIL, the others go on."""
    async with FakeMX(("PIPELINING", "SIZE 10", "size 5", *["X-ODD 1"] * 500)).serving() as mx:
        owner = Owner(mx, [*transactions(1), *transactions(2, b"x\r\n")], B)
        await owner.run()
        assert [fact.kind for fact in owner.impossible] == ["size"]
        assert len(mx.accepted) == 2
        assert b"MAIL FROM:<s@a.test> SIZE=3\r\n" in mx.commands(0)


VARIANTS = [
    before + b"." + after
    for before in (b"\n", b"\r", b"\r\n", b"\r\0\n", b"\r\r\n")
    for after in (b"\n", b"\r", b"\r\n", b"\r\0\n")
]


@pytest.mark.parametrize("pattern", [B, CB])
@pytest.mark.parametrize("is_lenient", [False, True])
async def test_smuggling(pattern: Pattern, is_lenient: bool) -> None:
    """None of twenty ends of data inside a body makes a second message, even where each is taken for an
    end."""
    inner = b"MAIL FROM:<evil@a.test>\r\nRCPT TO:<evil@b.test>\r\nDATA\r\nboo\r\n.\r\n"
    waiting = []
    for number, variant in enumerate(VARIANTS):
        (transaction,) = transactions(1, b"Subject: x\r\n\r\nbody" + variant + inner)
        waiting.append(transaction.__class__(transaction.envelope, number))
    async with FakeMX(OFFERS[pattern], is_lenient=is_lenient and pattern is B).serving() as mx:
        owner = Owner(mx, waiting, pattern)
        await owner.run()
        assert not any(each.sender.startswith("evil") for each in mx.received)
        assert len(owner.impossible) == len(VARIANTS) - 1
        assert len(mx.accepted) == 1


@patterns
async def test_limits_of_the_peer(pattern: Pattern) -> None:
    """LIMITS (RFC 9422): MAILMAX=2 means two a connection and QUIT, and costs nobody an attempt; RCPTMAX binds none."""
    offers = (*OFFERS[pattern], "LIMITS RCPTMAX=1 MAILMAX=2 RCPTDOMAINMAX=1")
    async with FakeMX(offers).serving() as mx:
        owner = Owner(mx, transactions(6), pattern)
        await owner.run()
        assert [type(owner.of(number)[0]) for number in range(6)] == [Accepted] * 6
        assert not any(isinstance(fact, Lost | Refused) for fact in owner.facts)
        assert mx.connections == 3
        for number in range(3):
            assert sum(line.startswith(b"MAIL") for line in mx.commands(number)) == 2
            assert mx.commands(number)[-1] == b"QUIT\r\n"


@patterns
@pytest.mark.parametrize("is_offered", [False, True])
async def test_smtputf8(pattern: Pattern, is_offered: bool) -> None:
    """SMTPUTF8 (RFC 6531): a local part beyond ASCII goes where it is offered and is impossible elsewhere; others of
    the connection go on, and do not say the word."""
    offers = (*OFFERS[pattern], *(["SMTPUTF8"] if is_offered else []))
    async with FakeMX(offers).serving() as mx:
        waiting = transactions(3)
        greek = Envelope("s@a.test", "δοκιμή@b.test", waiting[1].envelope.message)
        waiting[1] = Transaction(greek, 1)
        owner = Owner(mx, waiting, pattern)
        await owner.run()
        (fact,) = owner.of(1)
        assert isinstance(fact, Accepted if is_offered else Impossible)
        told = {each.recipient for each in mx.accepted}
        assert told == {"r0@b.test", "r2@b.test", *(["δοκιμή@b.test"] if is_offered else [])}
        assert sum(line.endswith(b" SMTPUTF8\r\n") for line in mx.commands(0)) == is_offered


@pytest.mark.parametrize("dsn", Dsn)
@pytest.mark.parametrize("is_offered", [False, True])
async def test_dsn(dsn: Dsn, is_offered: bool) -> None:
    """DSN (RFC 3461): as the path says, where it is offered."""
    async with FakeMX((*CHUNKING, *(["DSN"] if is_offered else []))).serving() as mx:
        owner = Owner(mx, transactions(2), CB, dsn=dsn)
        await owner.run()
        assert owner.kinds() == [Accepted] * 2
        asked = is_offered and dsn is not Dsn.OFF
        text = b"".join(mx.commands(0))
        assert text.count(b" RET=HDRS ENVID=m\r\n") == 2 * asked
        assert text.count(b" NOTIFY=%b ORCPT=rfc822;r" % dsn.upper().encode()) == 2 * asked


@patterns
async def test_binarymime_is_never_used(pattern: Pattern) -> None:
    """BINARYMIME (RFC 3030): offered, and left alone."""
    async with FakeMX((*OFFERS[pattern], "8BITMIME", "BINARYMIME")).serving() as mx:
        owner = Owner(mx, transactions(2, "é\r\n".encode()), pattern)
        await owner.run()
        assert owner.kinds() == [Accepted] * 2
        assert b"BINARYMIME" not in b"".join(mx.commands(0))
        assert b" BODY=8BITMIME\r\n" in b"".join(mx.commands(0))
