from collections.abc import Callable
from pathlib import Path

import pytest

from mta.config.identities import KeyFile
from mta.config.settings import Config
from mta.intake.settings import DomainPolicy, TenantPolicy
from mta.model.path import EgressPool, EgressSource
from tests.fakes.keys import ed25519_pem, rsa_pem
from tests.unit.config.conftest import write

Loaded = Callable[..., Config]
Refused = Callable[..., list[str]]

OPEN = "{ require_dkim = false }"
ACME = '[tenants.acme]\nreturn_path = "b.acme.test"\n'


def test_without_sources_the_kernel_chooses(loaded: Loaded) -> None:
    """Enough for a first message, with a warning."""
    config = loaded("")
    assert config.sources == {"default": EgressSource("default", "box")}
    assert config.pools == {"default": EgressPool("default", ((EgressSource("default", "box"), 1),))}
    assert "sources: none: mail says EHLO box and leaves from the address the kernel chooses" in str(
        config.warnings[0]
    )


def test_without_pools_all_sources_make_one(loaded: Loaded) -> None:
    """With equal weights."""
    config = loaded('[sources]\na = { ehlo = "A.test" }\nb = { ehlo = "b.test", address = "192.0.2.1" }')
    a, b = EgressSource("a", "a.test"), EgressSource("b", "b.test", "192.0.2.1")
    assert config.pools == {"default": EgressPool("default", ((a, 1), (b, 1)))}


def test_pools_weigh_their_sources(loaded: Loaded) -> None:
    """As many pools as one likes."""
    config = loaded('[sources]\na = { ehlo = "a.test" }\n[pools]\nwarm = { a = 9 }')
    assert config.pools == {"warm": EgressPool("warm", ((EgressSource("a", "a.test"), 9),))}


def test_one_of_weight_nothing_stands_by(loaded: Loaded) -> None:
    """As long as another one has some."""
    config = loaded(
        '[sources]\na = { ehlo = "a.test" }\nb = { ehlo = "b.test" }\n[pools]\np = { a = 1, b = 0 }'
    )
    assert [weight for _, weight in config.pools["p"].sources] == [1, 0]


def test_campaigns_may_have_pools_of_their_own(loaded: Loaded) -> None:
    """By name, or by how the name begins; the longest that fits holds, else the first pool."""
    sources = (
        '[sources]\na = { ehlo = "a.test" }\n[pools]\nmain = { a = 1 }\nwarm = { a = 1 }\nold = { a = 1 }\n'
    )
    named = '{ spring = "warm", "spring-*" = "warm", "spring-old*" = "old" }'
    config = loaded(f'{sources}{ACME}pools = ["main", "warm", "old"]\ncampaign_pools = {named}')
    policy = config.tenants["acme"]
    names = ("spring", "spring-sale", "spring-old-sale", "summer", "_", "")
    assert [policy.pool_of(name) for name in names] == ["warm", "warm", "old", "main", "main", "main"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[sources]\na = { address = "192.0.2.1" }', "sources.a.ehlo: is missing"),
        (
            '[sources]\na = { ehlo = "a.test", address = "127.0.0.300" }',
            'sources.a.address: "127.0.0.300" is no IP address',
        ),
        ('[sources]\na = { ehlo = "a b" }', 'sources.a.ehlo: "a b" is no domain name'),
        ('[sources]\nA = { ehlo = "a.test" }', "sources.A: a name here is made of [a-z0-9_-]"),
        ("[pools]\np = { b = 1 }", "pools.p.b: unknown source; known here: default"),
        ("[pools]\np = { default = 0 }", "pools.p: needs at least one source with a weight above 0"),
        (
            "[pools]\np = { default = -1 }",
            "pools.p.default: expected a weight from 0 (stands by) to 1000, found -1",
        ),
        ("[pools]\np = { default = 1001 }", "pools.p.default: expected a weight from 0 (stands by) to 1000"),
        ("[pools]\np = { default = 'x' }", "pools.p.default: expected a whole number"),
        ("[pools]\np = {}", "pools.p: needs at least one source"),
        ("[pools]\nP = { default = 1 }", "pools.P: a name here is made of [a-z0-9_-]"),
        ('[tenants."a.b"]\nreturn_path = "b.test"', 'tenants."a.b": a name here is made of [a-z0-9_-]'),
        ("[tenants.a]", "tenants.a.return_path: is missing"),
        ('[tenants.a]\nreturn_path = "b b"', 'tenants.a.return_path: "b b" is no domain name'),
        (f"{ACME}pools = []", "tenants.acme.pools: needs at least one pool; the first is the default"),
        (f'{ACME}pools = ["x"]', 'tenants.acme.pools: unknown pool "x"; known here: default'),
        (
            f'{ACME}campaign_pools = {{ spring = "defalt" }}',
            'campaign_pools.spring: "defalt" is none of this tenant\'s pools',
        ),
        (
            f'{ACME}campaign_pools = {{ "s*g" = "default" }}',
            'campaign_pools."s*g": can never match: a `*` stands at the end of a name only',
        ),
        (f'{ACME}domains."a b" = {{ require_dkim = false }}', 'domains."a b": "a b" is no domain name'),
        (f'{ACME}domains."a.test" = {{}}', 'domains."a.test".dkim: needs a key, or set require_dkim = false'),
        (
            f'{ACME}domains = {{ "a.test" = {OPEN}, "A.test" = {OPEN} }}',
            'domains."A.test": is "a.test", which is there already',
        ),
        (
            f'{ACME}domains."a.test" = {{ dkim = [{{ selector = "s 1", key = "k" }}] }}',
            'domains."a.test".dkim.selector: "s 1" is no domain name',
        ),
        ("[tokens]\nkeys = { key1 = 'f' }", "tokens.keys.key1: a key is named by exactly two characters"),
        ("[tokens]\nkeys = { k1 = 'nope' }", "tokens.keys.k1: no such key file"),
        (f"{ACME}[index]\nrecipients = 'hash'", "tenants.acme.hash_key: is needed for"),
        (f"{ACME}[events]\nrecipient = 'hash'", "tenants.acme.hash_key: is needed for"),
    ],
)
def test_who_cannot_send_is_refused(tmp_path: Path, refused: Refused, text: str, said: str) -> None:
    """Each with its path."""
    write(tmp_path / "k", rsa_pem())
    assert refused(text)[0].startswith("mta.toml: ")
    assert any(said in problem for problem in refused(text))


def test_a_tenant_has_its_policy_and_keys(tmp_path: Path, loaded: Loaded) -> None:
    """Domains as A-labels, keys in the order of the file."""
    write(tmp_path / "rsa", rsa_pem())
    write(tmp_path / "ed", ed25519_pem())
    write(tmp_path / "hk", "h" * 20 + "\n")
    write(tmp_path / "t1", "1" * 16)
    write(tmp_path / "tokens" / "t2", "2" * 16)
    config = loaded(f"""
        [tokens]
        keys = {{ k9 = "t1", k2 = "t2" }}
        {ACME}
        hash_key = "hk"
        domains."Bücher.test".dkim = [{{ selector = "R", key = "rsa" }}, {{ selector = "e", key = "ed" }}]
        domains."plain.test" = {{ require_dkim = false }}
    """)
    label = "xn--bcher-kva.test"
    assert config.tenants["acme"] == TenantPolicy(
        "acme",
        ("default",),
        "b.acme.test",
        {label: DomainPolicy(label, ("r", "e")), "plain.test": DomainPolicy("plain.test", (), False)},
    )
    keys = config.keys.dkim["acme", label]
    assert [(key.domain, key.selector, key.pem, key.file) for key in keys] == [
        (label, "r", rsa_pem(), f"{tmp_path}/rsa"),
        (label, "e", ed25519_pem(), f"{tmp_path}/ed"),
    ]
    assert config.keys.dkim["acme", "plain.test"] == ()
    assert [(key.key_id, key.secret) for key in config.keys.tokens] == [("k9", b"1" * 16), ("k2", b"2" * 16)]
    assert config.hash_keys == {"acme": b"h" * 20}


def test_a_selector_beyond_ascii_is_its_a_label(tmp_path: Path, loaded: Loaded) -> None:
    """In the policy and in the key that signs: DNS has it under no other name."""
    write(tmp_path / "k", rsa_pem())
    config = loaded(f'{ACME}domains."a.test" = {{ dkim = [{{ selector = "Bücher", key = "k" }}] }}')
    assert config.tenants["acme"].domains["a.test"].selectors == ("xn--bcher-kva",)
    assert [key.selector for key in config.keys.dkim["acme", "a.test"]] == ["xn--bcher-kva"]


def test_K_02_ed25519_alone_is_refused(tmp_path: Path, refused: Refused) -> None:
    """It signs only beside RSA; the daemon would start, and sign nothing."""
    write(tmp_path / "ed", ed25519_pem())
    only = '{ selector = "e", key = "ed" }'
    (problem,) = refused(f'{ACME}domains."a.test" = {{ dkim = [{only}] }}')
    assert 'domains."a.test".dkim: has only Ed25519' in problem
    (problem,) = refused(
        f'{ACME}domains."a.test" = {{ dkim = [{only}, {{ selector = "r", key = "nope" }}] }}'
    )
    assert "no such key file" in problem


def test_a_key_file_does_not_show_its_content() -> None:
    """In a log or a traceback."""
    assert repr(KeyFile(Path("/k"), b"secret")) == "KeyFile(place=PosixPath('/k'))"


def test_a_selector_named_twice_is_refused(tmp_path: Path, refused: Refused) -> None:
    """DNS holds one key under it."""
    write(tmp_path / "k", rsa_pem())
    entry = '{ selector = "s", key = "k" }'
    (problem,) = refused(f'{ACME}domains."a.test" = {{ dkim = [{entry}, {entry}] }}')
    assert problem.endswith('domains."a.test".dkim: names one selector twice: each key needs its own')


def test_two_tenants_cannot_sign_with_different_keys_under_one_selector(
    tmp_path: Path, refused: Refused
) -> None:
    """One of them would fail at every receiver; the same key for both is fine."""
    write(tmp_path / "k", rsa_pem())
    write(tmp_path / "other", rsa_pem(which=1))
    one = f'{ACME}domains."a.test" = {{ dkim = [{{ selector = "s", key = "k" }}] }}\n'
    two = one.replace("acme]", "beta]").replace('"k"', '"other"')
    (problem,) = refused(one + two)
    assert 'selector s has another key in tenants.acme.domains."a.test": DNS holds only one' in problem


def test_one_key_may_serve_two_tenants(tmp_path: Path, loaded: Loaded) -> None:
    """A domain that both may use."""
    write(tmp_path / "k", rsa_pem())
    one = f'{ACME}domains."a.test" = {{ dkim = [{{ selector = "s", key = "k" }}] }}\n'
    assert len(loaded(one + one.replace("acme]", "beta]")).keys.dkim) == 2


def test_addresses_that_are_not_told_need_a_token_key(tmp_path: Path, loaded: Loaded) -> None:
    """Whom a server refuses is told to our own daemons under one."""
    hidden = "[events]\nrecipient = 'domain'\n"
    assert "events.recipient" in [warning.path for warning in loaded(hidden).warnings]
    write(tmp_path / "a", "1" * 16)
    told = loaded(hidden + "[tokens]\nkeys = { k1 = 'a' }")
    assert "events.recipient" not in [warning.path for warning in told.warnings]


def test_equal_token_keys_are_refused(tmp_path: Path, refused: Refused) -> None:
    """A rotation that rotates nothing."""
    write(tmp_path / "a", "1" * 16)
    write(tmp_path / "b", "1" * 16 + "\n")
    assert refused("[tokens]\nkeys = { k1 = 'a', k2 = 'b' }") == [
        "mta.toml: tokens.keys: two of them hold the same bytes"
    ]


def test_short_token_keys_are_refused(tmp_path: Path, refused: Refused) -> None:
    """As every secret."""
    write(tmp_path / "a", "1" * 15)
    assert "holds 15 bytes" in refused("[tokens]\nkeys = { k1 = 'a' }")[0]


def test_what_sends_nothing_is_said(loaded: Loaded) -> None:
    """A configuration may be right and useless."""
    said = [str(warning).partition(": ")[2] for warning in loaded(ACME).warnings]
    assert "tenants.acme: has no domains: every From address will be rejected" in said
    assert "tenants: none: every payload will be rejected" in [
        str(warning).partition(": ")[2] for warning in loaded("").warnings
    ]


def test_tenants_have_weights(loaded: Loaded) -> None:
    """Only those that are not 1 are kept."""
    config = loaded(ACME + 'weight = 3\n[tenants.b]\nreturn_path = "b.b.test"\n')
    assert config.fair.weights == {"acme": 3}
    assert (config.fair.weight("acme"), config.fair.weight("b")) == (3, 1)
