from typing import Any, cast

import pytest

from mta.delivery.router import NoRoute, Router
from mta.delivery.settings import StaticRoute
from mta.dns.mx import MxAnswer, MxFound, NoMail
from mta.dns.record import DnsTrouble
from mta.dns.resolver import Resolver
from mta.dns.sts import NoSts, StsAnswer, StsFault, StsPolicies
from mta.model.path import MxHost, Site
from mta.model.tls import StsMode, StsPolicy, TlsFailure, TlsOption
from mta.pacing.settings import PathSettings
from mta.pacing.shaping import Knobs, Override, Provider, Shaping, SiteRule

ROUTES = (
    StaticRoute("*.test", "10.0.0.1", 25),
    StaticRoute("*.deep.test", "10.0.0.2", 2525, "google", "none"),
    StaticRoute("one.deep.test", "10.0.0.3", 25),
)
SHAPING = Shaping(
    providers=(
        Provider("google", (".google.com",), Knobs(connections=3)),
        Provider("special", (".mx.google.com",)),
    ),
    sites=(SiteRule("relay", ("10.0.0.3", "mx.relay.test"), Knobs(connections=4, tls=TlsOption.REQUIRE)),),
    sources={"a1": Knobs(window=9)},
    overrides=(Override(0, "weak", source="a1", provider="google", knobs=Knobs(connections=1)),),
)


class FakeResolver:
    """Knows what it was told; `asked` is what `resolve` was called for."""

    def __init__(self, **answers: MxAnswer) -> None:
        self._answers = answers
        self._known: dict[str, MxAnswer] = {}
        self.asked: list[str] = []

    def look_up(self, domain: str) -> MxAnswer | None:
        return self._known.get(domain)

    async def resolve(self, domain: str, *, is_urgent: bool = False) -> MxAnswer:
        self.asked.append(domain)
        answer = self._known[domain] = self._answers[domain]
        return answer


class FakePolicies:
    """As `FakeResolver`."""

    def __init__(self, **answers: StsAnswer) -> None:
        self._answers = answers
        self._known: dict[str, StsAnswer] = {}
        self.asked: list[str] = []

    def look_up(self, domain: str) -> StsAnswer | None:
        return self._known.get(domain)

    async def resolve(self, domain: str, *, is_urgent: bool = False) -> StsAnswer:
        self.asked.append(domain)
        answer = self._known[domain] = self._answers[domain]
        return answer

    async def recheck(self, domain: str) -> StsAnswer:
        return await self.resolve(domain)


def router(routes: tuple[StaticRoute, ...] = (), **answers: MxAnswer) -> tuple[Router, FakeResolver]:
    resolver = FakeResolver(**answers)
    return Router(routes, SHAPING, cast(Resolver, resolver)), resolver


def found(*names: str) -> MxFound:
    return MxFound(tuple(MxHost(name, addresses=("192.0.2.1",)) for name in names), "set-1", 60.0)


@pytest.mark.parametrize(
    ("domain", "host"),
    [
        ("one.deep.test", "10.0.0.3"),
        ("two.deep.test", "10.0.0.2"),
        ("a.b.deep.test", "10.0.0.2"),
        ("deep.test", "10.0.0.1"),
        ("x.test", "10.0.0.1"),
    ],
)
def test_the_longest_static_route_wins(domain: str, host: str) -> None:
    """Exact before suffix, longer suffix before shorter; `*.deep.test` does not cover deep.test itself."""
    site = router(ROUTES)[0].look_up(domain)
    assert isinstance(site, Site)
    assert site.hosts[0].name == host
    assert site.is_static


@pytest.mark.parametrize("domain", ["test", "contest", "x.invalid"])
def test_what_no_route_covers_is_for_dns(domain: str) -> None:
    """A suffix begins at a dot, and a bare suffix is not covered."""
    assert router(ROUTES)[0].look_up(domain) is None


def test_a_static_route_is_one_site() -> None:
    """Domains of one target share name, provider and TLS of the route, whatever their MX."""
    one, two = (router(ROUTES)[0].look_up(f"{name}.deep.test") for name in ("a", "b"))
    assert one == two
    assert isinstance(one, Site)
    assert (one.name, one.provider, one.tls) == ("10.0.0.2:2525", "google", "none")


@pytest.mark.parametrize(
    ("mx", "provider"),
    [
        ("aspmx.l.google.com", "google"),
        ("a.mx.google.com", "special"),
        ("google.com", "google"),
        ("notgoogle.com", "other"),
        ("google.com.evil.test", "other"),
    ],
)
async def test_provider_comes_from_the_first_host(mx: str, provider: str) -> None:
    """The longest suffix, at a dot, of the most preferred host's name."""
    routes, _ = router(domain=found(mx, "aspmx.l.google.com"))
    site = await routes.resolve("domain")
    assert isinstance(site, Site)
    assert (site.provider, site.name, site.is_static) == (provider, "set-1", False)


def site(provider: str, *hosts: str) -> Site:
    return Site("a site", provider, tuple(MxHost(name) for name in hosts))


def test_settings_are_those_of_the_path() -> None:
    """A provider, site or source that nobody configured has the default; an override wins over all."""
    routes, _ = router()
    assert routes.settings("a2", site("other", "mx.test")) == PathSettings()
    assert routes.settings("a2", site("google", "a.google.com")) == PathSettings(connections=3)
    assert routes.settings("a1", site("google", "a.google.com")) == PathSettings(connections=1, window=9)
    assert routes.settings("a1", site("other", "mx.test")) == PathSettings(window=9)
    assert routes.settings("a2", site("google", "a.google.com", "mx.relay.test")).connections == 4


def test_many_sites_share_what_holds_for_them() -> None:
    """One object for each set of layers: a hundred thousand idle sites must not have settings of their own."""
    routes, _ = router()
    first = routes.settings("a2", site("other", "mx.one.test"))
    assert routes.settings("a2", site("other", "mx.two.test")) is first
    assert routes.settings("a2", site("google", "mx.google.com")) is not first


async def test_tls_of_a_site_rule_holds_for_its_domains() -> None:
    """What the operator asks of a site is said to all domains that share it."""
    routes, _ = router(
        **{"a.test": MxFound((MxHost("mx.relay.test"),), "s1", 60.0), "b.test": found("mx.b.test")}
    )
    asked, other = await routes.resolve("a.test"), await routes.resolve("b.test")
    assert isinstance(asked, Site)
    assert isinstance(other, Site)
    assert (asked.tls, other.tls) == (TlsOption.REQUIRE, TlsOption.OPPORTUNISTIC)


@pytest.mark.parametrize(
    ("answer", "is_permanent"),
    [(NoMail("null_mx", "says so"), True), (DnsTrouble("servfail", "sick"), False)],
)
async def test_no_host_is_a_value(answer: Any, is_permanent: bool) -> None:
    """What a zone says is final, what a server fails to say is not."""
    routes, _ = router(domain=answer)
    assert await routes.resolve("domain") == NoRoute(answer.kind, answer.detail, is_permanent)


async def test_memory_is_asked_first() -> None:
    """After one question the answer is there without waiting."""
    routes, resolver = router(domain=found("mx.d.test"))
    assert routes.look_up("domain") is None
    asked = await routes.resolve("domain")
    assert routes.look_up("domain") == asked
    assert resolver.asked == ["domain"]


ENFORCE = StsPolicy("1", StsMode.ENFORCE, ("mx.acme.test",), 600)


def with_policies(resolver: FakeResolver, policies: FakePolicies) -> Router:
    static = StaticRoute("static.test", "10.0.0.1", 25)
    return Router((static,), SHAPING, cast(Resolver, resolver), cast(StsPolicies, policies))


async def test_each_domain_has_the_policy_of_its_own() -> None:
    """T-06: two domains with one MX set: one site, and not one policy. Known only when both are."""
    resolver = FakeResolver(**{"a.test": found("mx.acme.test"), "b.test": found("mx.acme.test")})
    fault = StsFault(TlsFailure.STS_POLICY_FETCH_ERROR, "404")
    policies = FakePolicies(**{"a.test": ENFORCE, "b.test": fault})
    made = with_policies(resolver, policies)
    await resolver.resolve("a.test")
    assert made.look_up("a.test") is None
    one, other = await made.resolve("a.test"), await made.resolve("b.test")
    assert isinstance(one, Site)
    assert isinstance(other, Site)
    assert one.name == other.name
    assert one.sts.policy == ENFORCE
    assert (other.sts.policy, other.sts.fault, other.sts.detail) == (
        None,
        TlsFailure.STS_POLICY_FETCH_ERROR,
        "404",
    )
    assert made.look_up("a.test") == one


async def test_who_takes_no_mail_is_not_asked_for_a_policy() -> None:
    """Nor is a domain with a route of its own; and a policy that stood in the way is looked at again."""
    resolver = FakeResolver(**{"a.test": NoMail("nxdomain", "a.test does not exist")})
    policies = FakePolicies(**{"a.test": ENFORCE})
    made = with_policies(resolver, policies)
    assert isinstance(await made.resolve("a.test"), NoRoute)
    assert isinstance(made.look_up("a.test"), NoRoute)
    assert isinstance(made.look_up("static.test"), Site)
    assert policies.asked == []
    await made.recheck("a.test")
    assert policies.asked == ["a.test"]


async def test_a_site_knows_whether_all_its_hosts_were_found() -> None:
    """521/556: else what those say that were is not the last word."""
    for is_whole in (True, False):
        answer = MxFound((MxHost("mx.acme.test", addresses=("192.0.2.1",)),), "s", 60.0, is_whole=is_whole)
        site = await router(domain=answer)[0].resolve("domain")
        assert isinstance(site, Site)
        assert site.is_whole is is_whole


@pytest.mark.parametrize(
    ("policy", "is_sure"),
    [
        (NoSts("no record"), True),
        (NoSts("no answer", is_sure=False), False),
        (StsFault(TlsFailure.STS_POLICY_FETCH_ERROR, "404"), False),
        (ENFORCE, True),
    ],
)
async def test_a_site_knows_whether_its_policy_is_all_there_is(policy: StsAnswer, is_sure: bool) -> None:
    """T-10: a failed lookup is not the word of the domain."""
    resolver = FakeResolver(**{"a.test": found("mx.acme.test")})
    site = await with_policies(resolver, FakePolicies(**{"a.test": policy})).resolve("a.test")
    assert isinstance(site, Site)
    assert site.sts.is_sure is is_sure


async def test_dnssec_is_of_the_domain() -> None:
    """T-07: whether its MX set is vouched for, not whether the hosts are."""
    secure = MxFound((MxHost("mx.acme.test", addresses=("192.0.2.1",)),), "set-1", 60.0, is_secure=True)
    resolver = FakeResolver(**{"a.test": secure})
    site = await with_policies(resolver, FakePolicies(**{"a.test": NoSts("")})).resolve("a.test")
    assert isinstance(site, Site)
    assert site.is_vouched
