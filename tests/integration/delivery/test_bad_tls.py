"""Each demand for TLS against each way in which TLS may come to nothing: who goes on in clear, and who never does."""

import ssl
import time
from collections.abc import Iterator
from random import Random

import pytest
import trustme
from msgspec.structs import replace

from mta.delivery.around import Around
from mta.delivery.hosts import HostMemory
from mta.delivery.opening import Opener, TlsTrouble
from mta.model.path import OPEN, MxHost, Security, Site
from mta.model.tls import DaneState, HostDane, StsMode, Tlsa, TlsOption
from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.smtp.connection import Connection
from mta.smtp.opening import ConnectGarbled, TlsFailed
from tests.fakes.bad_tls import BadTls, bad_tls, careless_client
from tests.fakes.smtp_server import PIPELINING, Cut, FakeMX, On
from tests.fakes.trust import server, trusted
from tests.unit.delivery.refs import CLASSIFIER, QUICK, SOURCE

NAME = "mx.test"
SETTINGS = replace(QUICK, timeouts=replace(QUICK.timeouts, tls_s=0.3))
USABLE = HostDane(DaneState.USABLE, (Tlsa(3, 1, 1, bytes(32)),), base=NAME)
UNUSABLE = HostDane(DaneState.UNUSABLE)
TESTED = Security(sts_mode=StsMode.TESTING, sts_hosts=(NAME,))

KINDS = [
    *("refused", "closed", "reset", "stalled", "garbage", "alert"),
    *("TLS 1.0", "TLS 1.1", "no encryption", "nobody", "512-bit DH"),
]
IN_CLEAR = {
    "opportunistic": (OPEN, HostDane()),
    "testing": (TESTED, HostDane()),
    "waived": (Security(ignores_policy=True), USABLE),
}
NEVER = {
    "require": (Security(TlsOption.REQUIRE), HostDane()),
    "verify": (Security(TlsOption.VERIFY), HostDane()),
    "requiretls": (Security(TlsOption.REQUIRETLS, is_vouched=True), HostDane()),
    "enforce": (Security(sts_mode=StsMode.ENFORCE, sts_hosts=(NAME,)), HostDane()),
    "dane": (OPEN, USABLE),
    "dane, unusable": (OPEN, UNUSABLE),
    "dane, unusable, tested": (TESTED, UNUSABLE),
}


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trustme.CA]:
    one = trustme.CA()
    with trusted(one, tmp_path_factory.mktemp("roots")):
        yield one


def place(ca: trustme.CA, bad: BadTls) -> FakeMX:
    return FakeMX(offers=PIPELINING, rules=bad.rules, context=bad.context or server(ca, NAME))


async def opened(
    mx: FakeMX,
    security: Security,
    dane: HostDane,
    memory: HostMemory,
    troubles: list[TlsTrouble] | None = None,
) -> Connection:
    host = MxHost(NAME, mx.port, ("127.0.0.1",), dane=dane)
    around = Around(
        memory,
        CLASSIFIER,
        Random(1),
        _never,
        lambda: True,
        _never,
        _never,
        _never,
        _never,
        lambda *_, **__: None,
        Governors(Actions(), lambda: 0.0),
    )
    one = Opener(Site("site", "other", (host,)), SOURCE, SETTINGS, security, around)
    seen = troubles if troubles is not None else []
    connection = await one.open(lambda *_: None, lambda _: None, seen.append)
    connection.quit()
    return connection


def _never(*_: object) -> None:
    raise AssertionError("an opener has nothing to do with it")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("demand", NEVER)
async def test_never_in_clear_where_tls_is_demanded(ca: trustme.CA, demand: str, kind: str) -> None:
    """T-02, D1, D2: one connection, no MAIL, no second one in clear, and nothing is remembered that would allow one;
    what went wrong is told."""
    security, dane = NEVER[demand]
    bad, memory, troubles = bad_tls(ca, NAME)[kind], HostMemory(), list[TlsTrouble]()
    async with place(ca, bad).serving() as mx:
        with pytest.raises(TlsFailed) as caught:
            await opened(mx, security, dane, memory, troubles)
        assert caught.value.stage == "tls"
        assert bad.said in caught.value.detail
        assert caught.value.detail
        assert [trouble.doubt.detail for trouble in troubles] == [caught.value.detail]
        assert mx.connections == 1
        assert [line[:8] for line in mx.commands(0)] == [b"EHLO one", b"STARTTLS"]
        assert not memory.is_tls_broken(f"{NAME}:{mx.port}", time.time())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("demand", IN_CLEAR)
async def test_in_clear_where_nothing_demands_it(ca: trustme.CA, demand: str, kind: str) -> None:
    """T-02, T-03, D1, D2: on a new connection, which is remembered for that host: the next one asks for no TLS. Whoever
    only refuses STARTTLS goes on as he is."""
    security, dane = IN_CLEAR[demand]
    memory = HostMemory()
    is_refused, is_testing = kind == "refused", demand == "testing"
    async with place(ca, bad_tls(ca, NAME)[kind]).serving() as mx:
        connection = await opened(mx, security, dane, memory)
        assert not connection.tls_version
        assert (connection.tls_doubt is not None) == is_testing
        first = mx.connections
        assert first == (1 if is_refused else 2) + is_testing
        assert memory.is_tls_broken(f"{NAME}:{mx.port}", time.time()) != is_refused
        assert not (await opened(mx, security, dane, memory)).tls_version
        assert mx.connections == first + 1
        assert (b"STARTTLS\r\n" in mx.commands(first)) == is_refused


@pytest.mark.parametrize("kind", ["TLS 1.0", "TLS 1.1", "no encryption", "nobody"])
def test_a_careless_client_would_go_along(ca: trustme.CA, kind: str) -> None:
    """These servers are as weak as they say, and not only broken."""
    context = bad_tls(ca, NAME)[kind].context
    assert context is not None
    one, other = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [context.wrap_bio(one, other, server_side=True), careless_client().wrap_bio(other, one)]
    for side in (sides[1], *sides * 4):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    version, cipher = sides[1].version(), sides[1].cipher()
    assert cipher is not None
    assert version == {"TLS 1.0": "TLSv1", "TLS 1.1": "TLSv1.1"}.get(kind, "TLSv1.2")
    assert ("NULL" in cipher[0]) == (kind == "no encryption")
    assert cipher[0].startswith("AECDH") == (kind == "nobody")


@pytest.mark.parametrize("demand", IN_CLEAR)
async def test_who_speaks_before_tls_is_left(ca: trustme.CA, demand: str) -> None:
    """T-01, D5 (CVE-2021-38371): plaintext behind the 220 is somebody between us; that is no reason to go on in clear,
    where he would read all."""
    security, dane = IN_CLEAR[demand]
    stray = On("starttls", [b"220 go ahead\r\n250 injected\r\n", Cut.SILENCE])
    memory = HostMemory()
    async with FakeMX(offers=PIPELINING, rules=[stray], context=server(ca, NAME)).serving() as mx:
        with pytest.raises(ConnectGarbled):
            await opened(mx, security, dane, memory)
        assert mx.connections == 1
        assert not memory.is_tls_broken(f"{NAME}:{mx.port}", time.time())
