"""Real Postfix, Exim and Haraka as receivers: every message once and byte for byte, by each pattern they allow."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from mta.model.message import Envelope, Message
from mta.smtp.fact import Accepted, Refused, Transaction
from mta.smtp.settings import Pattern
from tests.fakes.smtp_server import FakeMX
from tests.integration.smtp.owner import Owner
from tests.integration.smtp.servers import Missing, RealServer, exim, haraka, home, postfix

pytestmark = pytest.mark.real_server

A, B, C, CB, E = Pattern.A, Pattern.B, Pattern.C, Pattern.CB, Pattern.E
COUNT = 200
SIZE = 4096
HEADER = re.compile(rb"^([A-Za-z-]+): *(.*?)\r?\n", re.MULTILINE)


def served(start: Callable[[Path], AbstractContextManager[RealServer]]) -> Iterator[RealServer]:
    try:
        with home() as directory, start(directory) as server:
            yield server
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.fixture(scope="module")
def a_postfix() -> Iterator[RealServer]:
    yield from served(postfix)


@pytest.fixture(scope="module")
def an_exim() -> Iterator[RealServer]:
    yield from served(exim)


@pytest.fixture(scope="module")
def a_haraka() -> Iterator[RealServer]:
    yield from served(haraka)


@pytest.fixture(scope="module")
def an_unnamed_haraka() -> Iterator[RealServer]:
    """Its banner does not say what it is."""
    yield from served(partial(haraka, greeting="at your service"))


def body(number: int) -> bytes:
    """Dot lines, empty lines, and lines that look like SMTP, no two bodies alike."""
    lines = [
        b"%d" % number,
        b".",
        b"..",
        b"",
        b".x",
        b"MAIL FROM:<evil@a.test>",
        b"RSET",
        b"DATA",
        b"QUIT",
        b"354",
    ]
    lines += [b"BDAT 5 LAST", b"250 ok", b"From me", b"", b""]
    size = sum(len(line) + 2 for line in lines)
    while size < SIZE:
        lines.append((b"%d " % (number * size) * 20)[: min(76, SIZE - size)])
        size += len(lines[-1]) + 2
    lines += [b".", b""][: 1 + number % 2]
    return b"".join(line + b"\r\n" for line in lines)


def transaction(number: int, recipient: str) -> Transaction:
    head = f"From: s{number}@a.test\r\nSubject: x\r\nMessage-ID: <{number}@a.test>\r\n"
    head += f"Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nX-Number: {number}\r\n\r\n"
    message = Message(head.encode() + body(number), str(number), f"<{number}@a.test>")
    return Transaction(Envelope(f"s{number}@a.test", f"{recipient}{number}@b.test", message), number)


def owner(server: RealServer, waiting: list[Transaction], pattern: Pattern, **options: object) -> Owner:
    server.empty()
    mx = FakeMX()
    mx.port = server.port
    return Owner(mx, waiting, pattern, messages=1000, **options)


def arrived(server: RealServer) -> list[tuple[int, str, str]]:
    """(number, sender, hash of the body) of each message in the spool, in order of the numbers."""
    found = []
    for octets in server.messages():
        head, _, content = octets.replace(b"\r\n", b"\n").partition(b"\n\n")
        headers = {name.lower(): value for name, value in HEADER.findall(head + b"\n")}
        sender = headers[b"return-path"].strip(b"<>").decode()
        found.append((int(headers[b"x-number"]), sender, hashlib.sha256(content).hexdigest()))
    return sorted(found)


def sent(numbers: list[int]) -> list[tuple[int, str, str]]:
    return [
        (number, f"s{number}@a.test", hashlib.sha256(body(number).replace(b"\r\n", b"\n")).hexdigest())
        for number in numbers
    ]


async def check_bodies(server: RealServer, pattern: Pattern, **options: object) -> Owner:
    """Two hundred messages, all accepted, each in the spool once and as it was."""
    own = owner(server, [transaction(number, "r") for number in range(COUNT)], pattern, **options)
    await own.run()
    accepted = [fact.transaction.tag for fact in own.facts if isinstance(fact, Accepted)]
    assert sorted(accepted) == list(range(COUNT))  # type: ignore[type-var]
    await server.holds(COUNT)
    assert arrived(server) == sent(list(range(COUNT)))
    return own


async def check_refusals(server: RealServer, pattern: Pattern) -> None:
    """Every seventh recipient is unknown: refused alone, and the others leave under their own sender."""
    unknown = set(range(3, 60, 7))
    waiting = [transaction(number, "x" if number in unknown else "r") for number in range(60)]
    own = owner(server, waiting, pattern)
    await own.run()
    refused = {fact.transaction.tag for fact in own.facts if isinstance(fact, Refused)}
    assert refused == unknown
    known = [number for number in range(60) if number not in unknown]
    await server.holds(len(known))
    assert arrived(server) == sent(known)


@pytest.mark.parametrize("pattern", [A, B, C, CB, E])
async def test_postfix(a_postfix: RealServer, pattern: Pattern) -> None:
    """Each pattern on one connection, and what comes behind a refusal."""
    own = await check_bodies(a_postfix, pattern)
    assert own.connections[0].offer.chunking
    assert len(own.connections) == 1
    await check_refusals(a_postfix, pattern)


@pytest.mark.parametrize("pattern", [A, B, C, CB, E])
async def test_exim(an_exim: RealServer, pattern: Pattern) -> None:
    """Each pattern on one connection, and what comes behind a refusal."""
    own = await check_bodies(an_exim, pattern)
    assert own.connections[0].offer.chunking
    assert len(own.connections) == 1
    await check_refusals(an_exim, pattern)


@pytest.mark.parametrize("pattern", [A, B])
async def test_haraka(a_haraka: RealServer, pattern: Pattern) -> None:
    """The patterns that it stands."""
    await check_bodies(a_haraka, pattern)
    await check_refusals(a_haraka, pattern)


async def test_haraka_is_known_by_its_banner(a_haraka: RealServer) -> None:
    """Left to ourselves we do not even try to send behind the dot."""
    own = await check_bodies(a_haraka, Pattern.AUTO, c_verdict=None)
    assert own.connections[0].pattern is B
    assert own.learned == []


async def test_haraka_is_found_out(an_unnamed_haraka: RealServer) -> None:
    """Without its name it is tried once, on the same connection, and no message is lost or doubled."""
    own = await check_bodies(an_unnamed_haraka, Pattern.AUTO, c_verdict=None)
    assert "Haraka" not in own.connections[0].banner.text
    assert own.learned == [False]
    assert own.connections[0].pattern is B
    assert len(own.connections) == 1
