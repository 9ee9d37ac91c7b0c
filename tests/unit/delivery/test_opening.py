"""Against a scripted server: which host and address is tried, and what is learned of it."""

import ssl
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest
import trustme
from msgspec.structs import replace
from structlog.testing import capture_logs

from loadtest.blackhole import BlackHole
from mta.delivery import opening
from mta.delivery.around import Around
from mta.delivery.hosts import HostMemory
from mta.delivery.opening import HostsFull, Opener, TlsTrouble
from mta.model.login import Login
from mta.model.path import OPEN, MxHost, Security, Site
from mta.model.tls import DaneState, HostDane, StsMode, Tlsa, TlsFailure, TlsOption
from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.smtp.connection import Connection
from mta.smtp.opening import ConnectFailed, LacksRequireTls, NoMailHere, NoRequireTls, TlsFailed
from tests.fakes.nats import free_port
from tests.fakes.smtp_server import PIPELINING, Cut, FakeMX, On
from tests.fakes.trust import of_nobody, presenting, self_signed, server, trusted, trusted_server, with_digest
from tests.unit.delivery.refs import CLASSIFIER, QUICK, SOURCE

LOGIN = Login("mta", "s3cret")
NAME = "mx.test"
ENFORCED = Security(sts_mode=StsMode.ENFORCE, sts_hosts=(NAME,))
TESTED = Security(sts_mode=StsMode.TESTING, sts_hosts=(NAME,))
VERIFY = Security(TlsOption.VERIFY)
REQUIRE = Security(TlsOption.REQUIRE)
PASSED_ON = Security(TlsOption.REQUIRETLS, StsMode.ENFORCE, (NAME,))
PROMISING = (*PIPELINING, "REQUIRETLS")


def opener(
    *hosts: MxHost,
    memory: HostMemory | None = None,
    is_static: bool = True,
    security: Security = OPEN,
    login: Login | None = None,
) -> Opener:
    site = Site("site", "other", hosts, is_static=is_static, login=login)
    return Opener(site, SOURCE, QUICK, security, around(memory or HostMemory()))


GOVERNORS = Governors(Actions(), lambda: 0.0)


def around(memory: HostMemory, tell: Callable[..., None] = lambda kind, **fields: None) -> Around:
    """What an opener needs of it."""
    return Around(
        memory, CLASSIFIER, Random(1), _never, lambda: True, _never, _never, _never, _never, tell, GOVERNORS
    )


def _never(*_: object) -> None:
    raise AssertionError("an opener has nothing to do with it")


async def opened(one: Opener, troubles: list[TlsTrouble] | None = None) -> Connection:
    connection = await one.open(
        lambda *_: None, lambda _: None, (troubles if troubles is not None else []).append
    )
    connection.quit()
    return connection


def local(port: int, preference: int = 0) -> MxHost:
    return MxHost("mx.test", port, ("127.0.0.1",), preference)


async def test_the_next_host_is_tried() -> None:
    """S-16, B6: a host that refuses, or says 554 for a greeting, is left for the next."""
    rude = FakeMX(rules=[On("banner", [b"554 5.3.2 no\r\n", Cut.CLOSE])])
    async with rude.serving(), FakeMX(offers=PIPELINING).serving() as kind:
        connection = await opened(opener(local(free_port()), local(rude.port), local(kind.port)))
        assert connection.port == kind.port
        assert (rude.connections, kind.connections) == (1, 1)


@pytest.mark.parametrize("phase", ["banner", "ehlo"])
@pytest.mark.parametrize("code", [421, 450, 521, 550, 552, 553, 554, 571])
async def test_s16_the_next_host_is_tried(phase: str, code: int) -> None:
    """S-16, B4, B5, B6: whatever is said before MAIL, the next host is asked."""
    rude = FakeMX(rules=[On(phase, [b"%d no\r\n" % code, Cut.CLOSE])])
    async with rude.serving(), FakeMX(offers=PIPELINING).serving() as kind:
        assert (await opened(opener(local(rude.port), local(kind.port)))).port == kind.port
        assert rude.connections == 1


async def test_s16_starttls_refused_with_421(tmp_path: Path) -> None:
    """S-16, B4: at STARTTLS too."""
    with trusted_server(tmp_path, "mx.test") as context:
        rude = FakeMX(rules=[On("starttls", [b"421 4.3.2 no\r\n", Cut.CLOSE])], context=context)
        async with rude.serving(), FakeMX(offers=PIPELINING).serving() as kind:
            assert (await opened(opener(local(rude.port), local(kind.port)))).port == kind.port


async def test_each_address_of_a_host_is_tried() -> None:
    """The second address is tried where the first refuses."""
    async with FakeMX(offers=PIPELINING).serving() as mx:
        host = MxHost("mx.test", mx.port, ("127.0.0.77", "127.0.0.1"))
        assert (await opened(opener(host))).peer_ip == "127.0.0.1"


async def test_preference_is_kept() -> None:
    """Hosts of DNS are shuffled within one preference only."""
    async with FakeMX(offers=PIPELINING).serving() as near, FakeMX(offers=PIPELINING).serving() as far:
        hosts = (local(near.port, 10), local(far.port, 20))
        ports = {(await opened(opener(*hosts, is_static=False))).port for _ in range(5)}
        assert ports == {near.port}


async def test_the_last_failure_is_raised() -> None:
    """When no host is left, what happened last is told."""
    rude = FakeMX(rules=[On("banner", [b"421 4.3.2 later\r\n", Cut.CLOSE])])
    async with rude.serving():
        with pytest.raises(ConnectFailed, match="421"):
            await opened(opener(local(free_port()), local(rude.port)))


NO_MAIL = On("banner", [b"521 5.3.2 no mail here\r\n", Cut.CLOSE])


@pytest.mark.parametrize("is_static", [True, False])
async def test_521_of_every_host(is_static: bool) -> None:
    """521/556 (RFC 7504): every host greets with 521, each tried, and what could not be reached is another address of
    one of them."""
    async with FakeMX(rules=[NO_MAIL]).serving() as one, FakeMX(rules=[NO_MAIL]).serving() as two:
        host = MxHost("mx.test", one.port, ("127.0.0.1", "127.0.0.77"))
        with pytest.raises(NoMailHere) as caught:
            await opened(opener(host, local(two.port), is_static=is_static))
        assert caught.value.reply is not None
        assert caught.value.reply.code == 521
        assert (one.connections, two.connections) == (1, 1)


@pytest.mark.parametrize(
    "other",
    [
        On("banner", [b"554 5.3.2 no\r\n", Cut.CLOSE]),
        On("banner", [b"421 4.3.2 busy\r\n", Cut.CLOSE]),
        On("banner", [Cut.CLOSE]),
        On("ehlo", [b"521 5.3.2 no mail here\r\n", Cut.CLOSE]),
        None,
    ],
    ids=["554", "421", "closed", "at EHLO", "dead"],
)
@pytest.mark.parametrize("is_last", [False, True])
async def test_521_of_some_hosts(other: On | None, is_last: bool) -> None:
    """521/556 (RFC 7504): a host that says anything else, or is down, may take mail another time."""
    async with (
        FakeMX(rules=[NO_MAIL]).serving() as one,
        FakeMX(rules=[other] if other else []).serving() as two,
    ):
        hosts = [local(one.port), local(two.port if other else free_port())]
        with pytest.raises(ConnectFailed) as caught:
            await opened(opener(*(hosts if is_last else reversed(hosts))))
        assert not isinstance(caught.value, NoMailHere)


async def test_521_of_the_hosts_that_dns_found() -> None:
    """521/556 (RFC 7504): a host whose lookup failed may take mail another time."""
    async with FakeMX(rules=[NO_MAIL]).serving() as one:
        some = opener(local(one.port))
        some.site = replace(some.site, is_whole=False)
        with pytest.raises(ConnectFailed) as caught:
            await opened(some)
        assert not isinstance(caught.value, NoMailHere)


async def test_521_of_a_host_with_several_addresses() -> None:
    """521/556 (RFC 7504): their order is another at each try."""
    async with FakeMX(rules=[NO_MAIL]).serving() as one:
        host = MxHost("mx.test", one.port, ("127.0.0.77", "127.0.0.1", "127.0.0.78"))
        for _ in range(8):
            with pytest.raises(NoMailHere):
                await opened(opener(host, is_static=False))


async def test_521_and_a_host_that_takes_mail() -> None:
    """521/556 (RFC 7504): the next host is tried, and gets it."""
    async with FakeMX(rules=[NO_MAIL]).serving() as one, FakeMX(offers=PIPELINING).serving() as two:
        assert (await opened(opener(local(one.port), local(two.port)))).port == two.port


async def test_a_site_without_hosts_fails() -> None:
    """Never a silent wait."""
    with pytest.raises(ConnectFailed, match="no host"):
        await opened(opener())


async def test_broken_tls_is_remembered() -> None:
    """T-03: in clear on a new connection, and from then on without asking for TLS at that host."""
    memory = HostMemory()
    mx = FakeMX(offers=PIPELINING, context=of_nobody(), rules=[On("handshake", [Cut.CLOSE])])
    async with mx.serving():
        assert not (await opened(opener(local(mx.port), memory=memory))).tls_version
        assert memory.is_tls_broken(f"mx.test:{mx.port}", time.time())
        assert mx.connections == 2
        await opened(opener(local(mx.port), memory=memory))
        assert mx.connections == 3
        assert b"STARTTLS\r\n" not in mx.commands(2)


async def test_verified_or_not_at_all(tmp_path: Path) -> None:
    """D3, T-02: where a certificate is demanded a bad one is no reason to go on in clear, nor to remember that."""
    memory = HostMemory()
    with trusted_server(tmp_path, "mx.test"):
        async with FakeMX(offers=PIPELINING, context=of_nobody()).serving() as mx:
            with pytest.raises(TlsFailed):
                await opened(opener(local(mx.port), memory=memory, security=VERIFY))
            assert mx.connections == 1
            assert not memory.is_tls_broken(f"mx.test:{mx.port}", time.time())


@pytest.mark.parametrize("tls", ["none", "opportunistic", "require"])
async def test_a_login_goes_with_verified_only(tls: str, tmp_path: Path) -> None:
    """D13: on any other path it is not even passed on."""
    offers = (*PIPELINING, "AUTH PLAIN")
    with trusted_server(tmp_path, "mx.test") as context:
        async with FakeMX(offers, offers, context=context).serving() as mx:
            await opened(opener(local(mx.port), security=Security(TlsOption(tls)), login=LOGIN))
            assert not any(line.startswith(b"AUTH") for _, line in mx.lines)
            await opened(opener(local(mx.port), security=VERIFY, login=LOGIN))
            assert any(line.startswith(b"AUTH") for _, line in mx.lines)


async def test_a_refused_login_is_told_once(tmp_path: Path) -> None:
    """With the codes and without the password, and not for each try."""
    offers = (*PIPELINING, "AUTH PLAIN")
    with trusted_server(tmp_path, "mx.test") as context, capture_logs() as told:
        no = On("auth", [b"535 5.7.8 s3cret is wrong\r\n"])
        async with FakeMX(offers, offers, [no], context=context).serving() as mx:
            one = opener(local(mx.port), security=VERIFY, login=LOGIN)
            for _ in range(3):
                with pytest.raises(ConnectFailed):
                    await opened(one)
    (event,) = told
    assert (event["event"], event["detail"]) == ("login_failed", "535 5.7.8 to AUTH PLAIN")
    assert "s3cret" not in str(told)


async def test_tls_none_does_not_ask() -> None:
    """A path without TLS never says STARTTLS."""
    async with FakeMX(offers=PIPELINING, context=of_nobody()).serving() as mx:
        assert not (await opened(opener(local(mx.port), security=Security(TlsOption.NONE)))).tls_version
        assert b"STARTTLS\r\n" not in mx.commands(0)


# -- what policy demands ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Iterator[trustme.CA]:
    one = trustme.CA()
    with trusted(one, tmp_path_factory.mktemp("roots")):
        yield one


def bad_servers(ca: trustme.CA) -> dict[str, ssl.SSLContext]:
    return {
        "expired": server(ca, NAME, expired=True),
        "not yet valid": server(ca, NAME, not_yet=True),
        "wrong name": server(ca, "other.test"),
        "unknown authority": of_nobody(NAME),
        "self-signed": self_signed(NAME),
    }


FAILURES = {
    "expired": TlsFailure.CERTIFICATE_EXPIRED,
    "not yet valid": TlsFailure.CERTIFICATE_EXPIRED,
    "wrong name": TlsFailure.CERTIFICATE_HOST_MISMATCH,
    "unknown authority": TlsFailure.CERTIFICATE_NOT_TRUSTED,
    "self-signed": TlsFailure.CERTIFICATE_NOT_TRUSTED,
}


@pytest.mark.parametrize("security", [ENFORCED, VERIFY], ids=["enforce", "verify"])
@pytest.mark.parametrize("kind", FAILURES)
async def test_d3_a_bad_certificate_is_not_sent_to(ca: trustme.CA, kind: str, security: Security) -> None:
    """D3, T-06: where whom it is has to be known, nothing goes to somebody else; the failure is told by its kind."""
    troubles: list[TlsTrouble] = []
    async with FakeMX(offers=PIPELINING, context=bad_servers(ca)[kind]).serving() as mx:
        with pytest.raises(TlsFailed) as caught:
            await opened(opener(local(mx.port), is_static=False, security=security), troubles)
        assert caught.value.failure is FAILURES[kind]
        assert [trouble.doubt.failure for trouble in troubles] == [FAILURES[kind]]
        assert mx.connections == 1
        assert not any(b"MAIL" in line for line in mx.commands(0))


@pytest.mark.parametrize("security", [OPEN, REQUIRE], ids=["opportunistic", "require"])
@pytest.mark.parametrize("kind", FAILURES)
async def test_d3_a_bad_certificate_is_as_good_as_none(ca: trustme.CA, kind: str, security: Security) -> None:
    """D3: opportunism does not ask whom it talks to, and nor does a mere demand for encryption."""
    async with FakeMX(offers=PIPELINING, context=bad_servers(ca)[kind]).serving() as mx:
        connection = await opened(opener(local(mx.port), security=security))
        assert connection.tls_version
        assert mx.connections == 1


@pytest.mark.parametrize("security", [ENFORCED, VERIFY], ids=["enforce", "verify"])
async def test_a_good_certificate_is_sent_to(ca: trustme.CA, security: Security) -> None:
    """The event's words for it are on the connection."""
    async with FakeMX(offers=PIPELINING, context=server(ca, NAME)).serving() as mx:
        connection = await opened(opener(local(mx.port), is_static=False, security=security))
        assert connection.tls_version
        assert connection.tls_policy == ("sts" if security is ENFORCED else "verify")


async def test_the_common_name_counts_for_nothing(ca: trustme.CA) -> None:
    """T-06: a certificate without a DNS-ID is nobody's, whatever its common name says."""
    certificate = ca.issue_cert("a@mail.test", common_name=NAME)
    async with FakeMX(offers=PIPELINING, context=presenting(certificate)).serving() as mx:
        with pytest.raises(TlsFailed) as caught:
            await opened(opener(local(mx.port), security=VERIFY))
        assert caught.value.failure is TlsFailure.CERTIFICATE_HOST_MISMATCH


@pytest.mark.parametrize("security", [REQUIRE, VERIFY, ENFORCED], ids=["require", "verify", "enforce"])
@pytest.mark.parametrize(
    "rule",
    [
        On("starttls", [b"454 4.7.0 not now\r\n"]),
        On("starttls", [b"502 5.5.1 what\r\n"]),
        On("handshake", [Cut.CLOSE]),
        On("ehlo", [b"250-mx.test\r\n250 SIZE 1000\r\n"]),
    ],
    ids=["4xx", "5xx", "cut", "stripped"],
)
async def test_d1_d2_d4_never_in_clear_where_tls_is_demanded(
    ca: trustme.CA, rule: On, security: Security
) -> None:
    """D1, D2, D4: STARTTLS refused, broken or taken out: deferred, and not tried again in clear."""
    async with FakeMX(offers=PIPELINING, context=server(ca, NAME), rules=[rule]).serving() as mx:
        with pytest.raises(TlsFailed) as caught:
            await opened(opener(local(mx.port), is_static=False, security=security))
        assert caught.value.stage == "tls"
        assert mx.connections == 1
        assert not any(b"MAIL" in line for line in mx.commands(0))


async def test_broken_tls_of_old_excuses_nobody(ca: trustme.CA) -> None:
    """T-03: what was remembered for opportunism does not weaken a demand."""
    memory = HostMemory()
    async with FakeMX(offers=PIPELINING, context=server(ca, NAME)).serving() as mx:
        memory.learn_tls_broken(f"{NAME}:{mx.port}", time.time())
        connection = await opened(opener(local(mx.port), memory=memory, security=VERIFY))
        assert connection.tls_version


async def test_a_policy_that_tests_delivers_and_tells(ca: trustme.CA) -> None:
    """T-06: first as if it bound, then without; the shortfall is on the connection, and known for the next one."""
    memory = HostMemory()
    async with FakeMX(offers=PIPELINING, context=of_nobody(NAME)).serving() as mx:
        one = opener(local(mx.port), memory=memory, is_static=False, security=TESTED)
        first = await opened(one)
        assert first.tls_version
        assert first.tls_policy == "opportunistic"
        assert first.tls_doubt is not None
        assert first.tls_doubt.failure is TlsFailure.CERTIFICATE_NOT_TRUSTED
        assert mx.connections == 2
        assert (await opened(one)).tls_doubt == first.tls_doubt
        assert mx.connections == 3
    async with FakeMX(offers=PIPELINING, context=server(ca, NAME)).serving() as mx:
        good = await opened(opener(local(mx.port), is_static=False, security=TESTED))
        assert (good.tls_policy, good.tls_doubt) == ("sts", None)
        assert mx.connections == 1


async def test_only_hosts_of_the_policy_are_used(ca: trustme.CA) -> None:
    """T-06: an MX that the policy does not name is left out; where it is the only one, nothing is connected to."""
    policy = Security(sts_mode=StsMode.ENFORCE, sts_hosts=("mx.test",))
    evil = FakeMX(offers=PIPELINING, context=server(ca, "evil.test"))
    async with evil.serving(), FakeMX(offers=PIPELINING, context=server(ca, NAME)).serving() as mx:
        stranger = MxHost("evil.test", evil.port, ("127.0.0.1",), 5)
        troubles: list[TlsTrouble] = []
        found = await opened(opener(stranger, local(mx.port, 10), is_static=False, security=policy), troubles)
        assert found.port == mx.port
        assert [trouble.host.name for trouble in troubles] == ["evil.test"]
        with pytest.raises(TlsFailed, match=r"evil\.test"):
            await opened(opener(stranger, is_static=False, security=policy))
        assert evil.connections == 0


async def test_t07_a_host_with_a_broken_lookup_is_not_used() -> None:
    """T-07: never in clear, never at all, until the question has an answer."""
    async with FakeMX(offers=PIPELINING).serving() as mx:
        host = MxHost(NAME, mx.port, ("127.0.0.1",), dane=HostDane(DaneState.BROKEN, detail="SERVFAIL"))
        with pytest.raises(TlsFailed, match="SERVFAIL") as caught:
            await opened(opener(host, is_static=False))
        assert caught.value.failure is TlsFailure.DNSSEC_INVALID
        assert mx.connections == 0


async def test_t07_dane_decides_by_the_key() -> None:
    """T-07: an unknown authority and a wrong name are nothing to DANE-EE; another key is everything."""
    context, key = with_digest(trustme.CA(), "whatever.test")
    async with FakeMX(offers=PIPELINING, context=context).serving() as mx:
        good = HostDane(DaneState.USABLE, (Tlsa(3, 1, 1, key),))
        bad = HostDane(DaneState.USABLE, (Tlsa(3, 1, 1, bytes(32)),))
        host = MxHost(NAME, mx.port, ("127.0.0.1",), dane=good)
        connection = await opened(opener(host, is_static=False))
        assert (connection.tls_policy, bool(connection.tls_version)) == ("dane", True)
        with pytest.raises(TlsFailed):
            await opened(opener(MxHost(NAME, mx.port, ("127.0.0.1",), dane=bad), is_static=False))
        assert mx.connections == 2
        assert not any(b"MAIL" in line for line in mx.commands(1))


async def test_t10_requiretls_goes_to_the_host_that_promises_it(ca: trustme.CA) -> None:
    """T-10, REQUIRETLS (RFC 8689 section 4.2.1): a host without it is left with QUIT for the next; that is no
    failure of its TLS, and for other mail it keeps its place."""
    memory, troubles = HostMemory(), list[TlsTrouble]()
    good = server(ca, NAME)
    async with (
        FakeMX(PROMISING, PIPELINING, context=good).serving() as lacking,
        FakeMX(PIPELINING, PROMISING, context=good).serving() as promising,
    ):
        hosts = (local(lacking.port, 10), local(promising.port, 20))
        one = opener(*hosts, memory=memory, is_static=False, security=PASSED_ON)
        assert (await opened(one, troubles)).port == promising.port
        await lacking.until(lambda: b"QUIT\r\n" in lacking.commands(0))
        assert not any(line.startswith(b"MAIL") for line in lacking.commands(0))
        assert troubles == []
        other = opener(*hosts, memory=memory, is_static=False, security=VERIFY)
        assert (await opened(other)).port == lacking.port


async def test_t10_requiretls_of_no_host(ca: trustme.CA) -> None:
    """T-10, REQUIRETLS: each host was asked, and none promises it: that is for good, and says 5.7.30."""
    good = server(ca, NAME)
    async with (
        FakeMX(PIPELINING, context=good).serving() as one,
        FakeMX(PIPELINING, context=good).serving() as two,
    ):
        host = MxHost(NAME, one.port, ("127.0.0.1", "127.0.0.77"))  # nobody is at the second
        with pytest.raises(NoRequireTls, match=r"5\.7\.30 mx\.test"):
            await opened(opener(host, local(two.port), is_static=False, security=PASSED_ON))
        assert (one.connections, two.connections) == (1, 1)


@pytest.mark.parametrize("is_last", [False, True])
@pytest.mark.parametrize(
    "other", [On("banner", [b"521 no\r\n", Cut.CLOSE]), On("handshake", [Cut.CLOSE]), None], ids=str
)
async def test_t10_requiretls_of_a_host_that_is_down(ca: trustme.CA, other: On | None, is_last: bool) -> None:
    """T-10, REQUIRETLS: it may promise it tomorrow, so that is not for good, and what is told is about that host."""
    good = server(ca, NAME)
    async with (
        FakeMX(PIPELINING, context=good).serving() as lacking,
        FakeMX(PIPELINING, rules=[other] if other else [], context=good).serving() as down,
    ):
        hosts = [local(lacking.port), local(down.port if other else free_port())]
        if not is_last:
            hosts.reverse()
        # In the order that is given: the site is static.
        with pytest.raises(ConnectFailed) as caught:
            await opened(opener(*hosts, security=Security(TlsOption.REQUIRETLS, is_vouched=True)))
        assert not isinstance(caught.value, NoRequireTls | NoMailHere | LacksRequireTls)
        assert lacking.connections == 1


async def test_c8_the_dead_are_remembered() -> None:
    """C8: an address that refused is not tried again before those that answer."""
    memory = HostMemory()
    dead = free_port()
    async with FakeMX(offers=PIPELINING).serving() as mx:
        one = opener(local(dead, 10), local(mx.port, 20), memory=memory, is_static=False)
        await opened(one)
        assert one._targets()[0][0].port == mx.port


async def test_who_is_busy_is_not_dead() -> None:
    """A 421 for a greeting is about now: the host keeps its place."""
    memory = HostMemory()
    busy = FakeMX(rules=[On("banner", [b"421 4.3.2 later\r\n", Cut.CLOSE])])
    async with busy.serving(), FakeMX(offers=PIPELINING).serving() as mx:
        one = opener(local(busy.port, 10), local(mx.port, 20), memory=memory, is_static=False)
        await opened(one)
        assert one._targets()[0][0].port == busy.port


async def test_d4_an_offer_that_is_gone_is_told() -> None:
    """D4: STARTTLS was there before: mail goes in clear where nothing demands more, and operators hear of it."""
    told: list[tuple[str, dict[str, str]]] = []
    memory = HostMemory()
    surroundings = around(memory, lambda kind, **fields: told.append((kind, fields)))
    stripped = On("ehlo", [b"250 mx.test\r\n"], connection=1)
    async with FakeMX(offers=PIPELINING, context=of_nobody(NAME), rules=[stripped]).serving() as mx:
        site = Site("site", "other", (local(mx.port),))
        one = Opener(site, SOURCE, QUICK, OPEN, surroundings)
        assert (await opened(one)).tls_version
        assert told == []
        assert not (await opened(one)).tls_version
    expected = {"mx_host": NAME, "mx_ip": "127.0.0.1", "site": "site"}
    assert told == [("tls_downgrade", expected)]


async def test_hosts_that_hang_are_tried_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """C8: where every connect takes its whole time, an attempt ends when its time is over, not at the last host."""
    monkeypatch.setattr(opening, "_LONGEST_TRY_S", 0.5)
    hole = BlackHole()
    try:
        hosts = [MxHost(f"h{at:02}.test", hole.port, ("127.0.0.1",), at) for at in range(20)]
        settings = replace(QUICK, timeouts=replace(QUICK.timeouts, connect_s=0.2))
        one = Opener(Site("site", "other", tuple(hosts)), SOURCE, settings, OPEN, around(HostMemory()))
        begun = time.monotonic()
        with pytest.raises(ConnectFailed):
            await opened(one)
        assert 0.5 < time.monotonic() - begun < 2.0
    finally:
        hole.close()


async def test_c8_who_answers_again_has_its_place_again() -> None:
    """C8: a mark of death ends with the first connection, not only with its time."""
    memory = HostMemory()
    async with FakeMX(offers=PIPELINING).serving() as first, FakeMX(offers=PIPELINING).serving() as second:
        hosts = (local(first.port, 10), local(second.port, 20))
        for host in hosts:
            memory.note_dead(SOURCE.name, (host, "127.0.0.1"), time.time())
        one = opener(*hosts, memory=memory, is_static=False)
        assert (await opened(one)).port == first.port
        memory.note_dead(SOURCE.name, (hosts[1], "127.0.0.1"), time.time())
        assert [host.port for host, _ in one._targets()] == [first.port, second.port]
        memory.note_alive(SOURCE.name, (hosts[1], "127.0.0.1"), time.time())
        memory.note_dead(SOURCE.name, (hosts[0], "127.0.0.1"), time.time())
        assert (await opened(opener(hosts[0], memory=memory, is_static=False))).port == first.port
        assert [host.port for host, _ in one._targets()] == [first.port, second.port]


async def test_t07_sni_is_the_name_the_records_were_found_under() -> None:
    """T-07, RFC 7672 section 8.1: where an MX host is an alias that is its target, not the name in the MX."""
    names: list[str | None] = []
    context, key = with_digest(trustme.CA(), "target.test")
    context.sni_callback = lambda _, name, __: names.append(name)
    async with FakeMX(offers=PIPELINING, context=context).serving() as mx:
        dane = HostDane(DaneState.USABLE, (Tlsa(3, 1, 1, key),), base="target.test")
        await opened(opener(MxHost(NAME, mx.port, ("127.0.0.1",), dane=dane), is_static=False))
        await opened(opener(local(mx.port)))
    assert names == ["target.test", NAME]


async def test_a_host_at_our_own_limit_is_left_out() -> None:
    """No failure and no attempt: the next one is tried, and what was left out is not taken for dead."""
    memory = HostMemory()
    async with FakeMX(offers=PIPELINING).serving() as full, FakeMX(offers=PIPELINING).serving() as free:
        one = opener(local(full.port), MxHost("mx2.test", free.port, ("127.0.0.1",)), memory=memory)
        connection = await one.open(
            lambda *_: None, lambda _: None, _never, lambda host: host.name != "mx.test"
        )
        connection.quit()
        assert connection.port == free.port
        assert full.connections == 0
        assert (await opened(one)).port == full.port


async def test_where_all_hosts_are_full_nothing_was_tried() -> None:
    """It says which, and is no failure to connect."""
    one = opener(local(free_port()))
    with pytest.raises(HostsFull) as full:
        await one.open(lambda *_: None, lambda _: None, _never, lambda host: False)
    assert full.value.host.name == "mx.test"
