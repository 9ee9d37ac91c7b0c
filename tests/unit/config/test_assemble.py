from collections.abc import Callable
from pathlib import Path

import pytest

from mta.config.settings import Config, HttpSettings
from mta.delivery.settings import StaticRoute
from mta.dns.settings import DnsSettings
from mta.events.settings import EventSettings, RecipientForm
from mta.intake.settings import IntakeSettings
from mta.jetstream.settings import NatsSettings
from mta.model.login import EXPECTED, Login
from mta.queue.settings import Fairness, HoldSettings, RetrySchedule, RetrySettings
from mta.suppression.settings import AddressForm, SuppressionSettings
from mta.tlsrpt.settings import TlsRptSettings
from tests.fakes.keys import rsa_pem
from tests.unit.config.conftest import write

Loaded = Callable[..., Config]
Refused = Callable[..., list[str]]


def test_an_empty_file_means_the_stages_own_defaults(loaded: Loaded) -> None:
    """One truth: what a stage would do on its own."""
    config = loaded("")
    assert config.nats == NatsSettings()
    assert config.intake == IntakeSettings()
    assert config.hold == HoldSettings()
    assert config.retry == RetrySettings()
    assert config.dns == DnsSettings()
    assert config.events == EventSettings()
    assert config.tlsrpt == TlsRptSettings()
    assert config.http == HttpSettings()
    assert (config.advertise, config.titles) == (False, {})
    assert config.suppression == SuppressionSettings()
    assert str(config.node.state_dir) == "/var/lib/mta"
    assert config.node.name == "box"


def test_every_value_reaches_its_stage(loaded: Loaded) -> None:
    """Units gone, names resolved."""
    config = loaded("""
        [node]
        name = "n1"
        state_dir = "/s"
        workers = 3
        drain_timeout = "10s"
        [nats]
        embedded = false
        servers = ["nats://a.test:4222", "tls://b.test"]
        port = 4333
        connect_timeout = "3s"
        ack_wait = "20s"
        renew = "2s"
        margin = "1s"
        [http]
        listen = ""
        public_url = "https://u.acme.test/"
        [queue]
        payloads_in_work = 2
        campaigns_at_once = 3
        hold = "4s"
        bulk_share = 0.25
        [compose]
        timeout = "2s"
        memory = "1GB"
        max_template = "1kB"
        max_message = "2kB"
        [retry]
        jitter = 0
        greylist = "3s"
        bulk = { schedule = ["1s", "2s"], max_age = "3s" }
        transactional = { schedule = ["4s"], max_age = "5s" }
        [dns]
        servers = ["192.0.2.1", "[2001:db8::1]:5353"]
        validating = "127.0.0.1:5353"
        allow = ["10.0.0.0/8", "fd00::/8"]
        [index]
        recipients = "none"
        [events]
        recipient = "domain"
        flush = "1s"
        [suppression]
        addresses = "hash"
        mailbox_full = "1d"
        invalid_domain = "2d"
        inactive_recipient = "3d"
        invalid_recipient = "4d"
        recipient_refused = "5d"
        unsubscribed = "6d"
        complained = "7d"
    """)
    assert (config.node.name, str(config.node.state_dir), config.node.workers) == ("n1", "/s", 3)
    assert config.node.drain_timeout_s == 10
    assert config.nats == NatsSettings(
        embedded=False,
        servers=("nats://a.test:4222", "tls://b.test"),
        port=4333,
        connect_timeout_s=3,
        ack_wait_s=20,
        renew_s=2,
        margin_s=1,
    )
    assert config.intake == IntakeSettings(
        payloads_in_work=2, campaigns_at_once=3, renew_s=2, ack_wait_s=20, margin_s=1
    )
    assert config.http == HttpSettings("", 0, "https://u.acme.test")
    assert config.hold == HoldSettings(bulk_s=4)
    assert config.fair == Fairness(bulk_share=0.25)
    assert (config.compose.workers, config.compose.timeout_s, config.compose.memory_bytes) == (3, 2, 10**9)
    assert (config.compose.max_template_bytes, config.compose.max_message_bytes) == (1000, 2000)
    assert config.retry == RetrySettings(0, 3, RetrySchedule((1, 2), 3), RetrySchedule((4,), 5))
    assert config.dns == DnsSettings(
        ("192.0.2.1", "[2001:db8::1]:5353"), "127.0.0.1:5353", ("10.0.0.0/8", "fd00::/8")
    )
    assert config.index_recipients == "none"
    assert config.events == EventSettings(recipient=RecipientForm.DOMAIN, flush_s=1)
    assert config.suppression == SuppressionSettings(
        AddressForm.HASH, *(days * 86_400.0 for days in range(1, 8))
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[node]\nworkers = 1025", "node.workers: expected 0 (one per core) to 1024"),
        ("[node]\ndrain_timeout = '0s'", "node.drain_timeout: must be above 0"),
        (
            "[node]\nname = 'a b'",
            'node.name: expected at most 64 letters, digits, dots and hyphens, found "a b"',
        ),
        ("[nats]\nport = 65536", "nats.port: expected 0 (any free one) to 65535"),
        (
            "[nats]\nsnapshot = '300ms'",
            "nats.hold_back: is shorter than nats.snapshot: sending would stop at every snapshot",
        ),
        (
            "[nats]\nack_wait = '10s'",
            "nats.ack_wait: must be longer than nats.renew and nats.margin together",
        ),
        (
            "[nats]\nservers = ['nats://a.test']",
            "nats.servers: has no effect beside the embedded server: set nats.embedded = false",
        ),
        (
            "[nats]\nembedded = false\nservers = []",
            "nats.servers: needs at least one server, or set nats.embedded = true",
        ),
        (
            "[nats]\nembedded = false\nservers = ['a.test:4222']",
            'nats.servers[0]: expected an address such as "nats://127.0.0.1:4222"',
        ),
        (
            "[nats]\nembedded = false\nservers = ['nats://u:secret@a.test']",
            "nats.servers[0]: must not hold a password: nats.credentials names a file for it",
        ),
        ("[http]\nlisten = ':80'", 'http.listen: expected an address such as "127.0.0.1:9925", or ""'),
        ("[http]\nlisten = 'host:80'", 'http.listen: expected an address such as "127.0.0.1:9925", or ""'),
        ("[http]\nlisten = '::1:0'", 'http.listen: expected an address such as "127.0.0.1:9925", or ""'),
        ("[inbound]\nadvertise = true", "inbound.advertise: needs a key in [tokens]"),
        (
            "[tenants.a]\nreturn_path = 'b.test'\ntitle = \"a\\nb\"",
            'tenants.a.title: expected at most 80 printable characters, found "a\\nb"',
        ),
        (
            "[http]\npublic_url = 'http://u.test'",
            'http.public_url: expected an https address such as "https://u.example.com" (RFC 8058)',
        ),
        ("[queue]\nhold = 0", "queue.hold: must be above 0"),
        (
            "[queue]\nbulk_share = 0",
            "queue.bulk_share: must be between 0.01 and 0.5, so that neither lane starves",
        ),
        ("[tenants.a]\nreturn_path = 'b.test'\nweight = 0", "tenants.a.weight: must be between 1 and 100"),
        ("[queue]\npayloads_in_work = 0", "queue.payloads_in_work: must be above 0"),
        ("[compose]\nmemory = '10MB'", 'compose.memory: a worker needs at least "256MB"'),
        ("[retry]\njitter = 1", "retry.jitter: expected 0 to below 1: the share by which a delay may differ"),
        (
            "[retry]\nbulk = { schedule = [], max_age = '1h' }",
            "retry.bulk.schedule: needs at least one time, each above 0",
        ),
        (
            "[retry]\ntransactional = { schedule = ['0s'], max_age = '1h' }",
            "retry.transactional.schedule: needs at least one time, each above 0",
        ),
        (
            "[dns]\nservers = ['ns.test']",
            'dns.servers[0]: expected an address such as "192.0.2.53" or "192.0.2.53:5353"',
        ),
        (
            "[dns]\nvalidating = '192.0.2.53'",
            'dns.validating: "192.0.2.53" is not of this host, and no network can be trusted with the AD bit: '
            'expected "127.0.0.1", or with a port "127.0.0.1:5353"',
        ),
        (
            "[dns]\nvalidating = 'localhost:53'",
            'dns.validating: "localhost:53" is no IP address: '
            'expected "127.0.0.1", or with a port "127.0.0.1:5353"',
        ),
        (
            "[dns]\nallow = ['10.0.0.1/8']",
            'dns.allow[0]: expected a network such as "10.0.0.0/8" (10.0.0.1/8 has host bits set)',
        ),
        (
            "[index]\nrecipients = 'some'",
            'index.recipients: expected one of "full", "hash", "none", found "some"',
        ),
        (
            "[events]\nrecipient = 'none'",
            'events.recipient: expected one of "full", "hash", "domain", found "none"',
        ),
    ],
)
def test_a_value_that_cannot_be_is_refused(refused: Refused, text: str, said: str) -> None:
    """With what would do."""
    assert refused(text) == [f"mta.toml: {said}"]


def test_passwords_are_not_repeated(refused: Refused) -> None:
    """An error may end in a ticket."""
    assert "secret" not in refused("[nats]\nembedded = false\nservers = ['nats://u:secret@a.test']")[0]


def test_an_instance_adds_its_name(loaded: Loaded, refused: Refused) -> None:
    """Two instances on one host are two nodes."""
    assert loaded("", MTA_INSTANCE="b").node.name == "box-b"
    assert loaded("[node]\nname = 'n'", MTA_INSTANCE="b").node.name == "n-b"
    assert refused("", MTA_INSTANCE="x" * 64)[0].startswith("mta.toml: node.name: expected at most 64")


def test_routes_are_resolved(loaded: Loaded) -> None:
    """Names as A-labels, the port 25 where none is given."""
    config = loaded("""
        [routes]
        "*.TEST" = { host = "127.0.0.1:2525", provider = "google", tls = "none" }
        "bücher.test" = { host = "[::1]" }
    """)
    assert config.routes == (
        StaticRoute("*.test", "127.0.0.1", 2525, "google", "none"),
        StaticRoute("xn--bcher-kva.test", "::1", 25),
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '"*" = { host = "h" }',
            'routes."*": is no domain name: expected "domain" or "*.suffix"',
        ),
        (
            '"a.test" = { host = "h:x" }',
            'routes."a.test".host: "h:x" has no port between 1 and 65535: expected "name:port"',
        ),
        ('"a.test" = { host = "[::g]:25" }', '"[::g]:25" is no IPv6 address in brackets'),
        (
            '"a.test" = { host = "h" }\n"A.test" = { host = "h" }',
            'routes."A.test": is the same route as "a.test"',
        ),
        ('"a.test" = { host = "h", provider = "gogle" }', 'unknown provider; did you mean "google"?'),
        (
            '"a.test" = { host = "h", tls = "always" }',
            'routes."a.test".tls: expected',
        ),
        ('"a.test" = {}', 'routes."a.test".host: is missing'),
        (
            '"a.test" = { host = "h", tls = "verify", auth = "relay" }',
            'routes."a.test".auth: no such key file: ',
        ),
    ],
)
def test_a_route_that_cannot_be_is_refused(refused: Refused, text: str, said: str) -> None:
    """Found at start, not with the first mail."""
    (problem,) = refused(f"[routes]\n{text}")
    assert said in problem


def test_a_route_may_have_a_login(tmp_path: Path, loaded: Loaded) -> None:
    """Looked up like a key, beside the configuration or in `auth/`."""
    write(tmp_path / "auth" / "relay", "mta:s3:cret\n")
    config = loaded("""
        [routes]
        "*.test" = { host = "relay.example:587", tls = "verify", auth = "relay" }
        "a.test" = { host = "relay.example:587", tls = "verify", auth = "relay" }
        "b.test" = { host = "b.example", tls = "verify" }
    """)
    login = Login("mta", "s3:cret")
    assert [route.login for route in config.routes] == [login, login, None]
    assert {route.tls for route in config.routes} == {"verify"}
    assert "s3:cret" not in repr(config.routes) + repr(config)


@pytest.mark.parametrize("tls", ["opportunistic", "none"])
def test_a_login_needs_a_certificate(tmp_path: Path, refused: Refused, tls: str) -> None:
    """D13: otherwise it could be shown to anybody."""
    write(tmp_path / "relay", "mta:s3cret")
    (problem,) = refused(f'[routes]\n"a.test" = {{ host = "h", tls = "{tls}", auth = "relay" }}')
    assert problem.startswith('mta.toml: routes."a.test".auth: needs tls = "verify"')


def test_one_host_has_one_login(tmp_path: Path, refused: Refused) -> None:
    """Mail of both routes goes over the same connections."""
    write(tmp_path / "one", "mta:s3cret")
    text = """
        [routes]
        "a.test" = { host = "h:587", tls = "verify", auth = "one" }
        "b.test" = { host = "h:587", tls = "verify" }
        "c.test" = { host = "h:25", tls = "verify" }
    """
    (problem,) = refused(text)
    assert problem.startswith('mta.toml: routes."b.test".auth: is not that of another route to this host')


@pytest.mark.parametrize("content", ["s3cret", "", "mta:", "mta:s3\ncret"])
def test_a_login_that_is_none_is_not_shown(tmp_path: Path, refused: Refused, content: str) -> None:
    """With what is expected, and without what is there."""
    write(tmp_path / "relay", content)
    assert refused('[routes]\n"a.test" = { host = "h", tls = "verify", auth = "relay" }') == [
        f'mta.toml: routes."a.test".auth: relay is no login: expected {EXPECTED}'
    ]


def test_a_login_that_others_may_read_is_refused(tmp_path: Path, refused: Refused) -> None:
    """As any key."""
    write(tmp_path / "relay", "mta:s3cret", 0o644)
    (problem,) = refused('[routes]\n"a.test" = { host = "h", tls = "verify", auth = "relay" }')
    assert "others may read relay (mode 0644)" in problem


_TENANTS = """
[tenants.acme]
return_path = "b.acme.test"
domains."acme.test" = { require_dkim = false }
domains."shop.test" = { require_dkim = false }
[tenants.other]
return_path = "b.other.test"
domains."other.test" = { require_dkim = false }
[tenants.bare]
return_path = "b.bare.test"
"""
_SOURCES = '[sources]\na = { ehlo = "mta1.acme.test" }\nb = { ehlo = "mta2.acme.test" }\n'


def test_t11_tls_reports_need_one_switch(loaded: Loaded) -> None:
    """T-11: the rest is the first source's name and the first domain of the first tenant."""
    settings = loaded(f"[tlsrpt]\nenabled = true\n{_SOURCES}{_TENANTS}").tlsrpt
    assert settings == TlsRptSettings(
        is_on=True,
        organization="mta1.acme.test",
        contact="postmaster@acme.test",
        tenant="acme",
        sender="tls-reports@acme.test",
    )
    assert loaded(f"[tlsrpt]\nenabled = true\n{_TENANTS}").tlsrpt.organization == "box"


def test_tls_reports_say_what_they_are_told_to(loaded: Loaded) -> None:
    """Each key; contact is of the domain of `from` unless it is given. Off, none of them counts."""
    keys = 'organization = "Acme"\ntenant = "acme"\nfrom = "tls@SHOP.test"\n'
    settings = loaded(f"[tlsrpt]\nenabled = true\n{keys}{_TENANTS}").tlsrpt
    assert settings == TlsRptSettings(True, "Acme", "postmaster@shop.test", "acme", "tls@shop.test")
    keys += 'contact = "noc@else.test"\n'
    assert loaded(f"[tlsrpt]\nenabled = true\n{keys}{_TENANTS}").tlsrpt.contact == "noc@else.test"
    assert loaded(f"[tlsrpt]\n{keys}{_TENANTS}").tlsrpt == TlsRptSettings()


@pytest.mark.parametrize(
    ("keys", "tenants", "said"),
    [
        ("", "", "tlsrpt.enabled: needs a tenant to send reports"),
        ('tenant = "acm"', _TENANTS, 'tlsrpt.tenant: unknown tenant; did you mean "acme"?'),
        (
            'tenant = "bare"',
            _TENANTS,
            "tlsrpt.enabled: tenant bare has no domain that reports could come from",
        ),
        (
            'from = "tls@x.invalid"',
            _TENANTS,
            "tlsrpt.from: x.invalid is no domain of tenant acme; known here: acme.test, shop.test",
        ),
        ('from = "tls"', _TENANTS, "tlsrpt.from: there is no @ between local part and domain"),
        ('contact = "noc@else"', _TENANTS, "tlsrpt.contact: the domain has no dot"),
        ('form = "x"', _TENANTS, 'tlsrpt.form: unknown key; did you mean "from"?'),
    ],
)
def test_tls_reports_that_could_not_be_sent_are_refused(
    refused: Refused, keys: str, tenants: str, said: str
) -> None:
    """Each with one problem, at the key it is about."""
    assert refused(f"[tlsrpt]\nenabled = true\n{keys}\n{tenants}") == [f"mta.toml: {said}"]


def test_tls_reports_without_a_signature_are_odd(loaded: Loaded, tmp_path: Path) -> None:
    """RFC 8460 section 3: a receiver ignores those that come by mail. With a key there is nothing to say."""
    write(tmp_path / "k", rsa_pem())
    signed = """
[tenants.acme]
return_path = "b.acme.test"
domains."acme.test" = { dkim = [{ selector = "s1", key = "k" }] }
"""
    said = [
        [
            one.text
            for one in loaded(f"[tlsrpt]\nenabled = true\n{text}").warnings
            if one.path == "tlsrpt.from"
        ]
        for text in (_TENANTS, signed)
    ]
    assert said == [["acme.test has no DKIM key: reports by mail will be ignored (RFC 8460 section 3)"], []]


def test_where_one_click_is_answered(loaded: Loaded) -> None:
    """IPv6 in brackets; the port may be left out."""
    assert loaded('[http]\nlisten = "[::1]:80"').http == HttpSettings("::1", 80)
    assert loaded('[http]\nlisten = "192.0.2.1"').http == HttpSettings("192.0.2.1", 9925)


def test_l06_addresses_of_ours_need_a_key_and_a_related_domain(loaded: Loaded, tmp_path: Path) -> None:
    """RFC 9477: what names an address of a domain that has nothing to do with From is ignored, so it is not written,
    and the operator is told."""
    key = tmp_path / "token-k1"
    key.write_text("c2VjcmV0LXNlY3JldC1zZWNyZXQtc2VjcmV0Cg==")
    key.chmod(0o600)
    text = f"""
        [inbound]
        advertise = true
        [tokens]
        keys = {{ k1 = "{key}" }}
        [tenants.acme]
        return_path = "b.acme.test"
        title = "Acme & Söhne"
        domains."acme.test" = {{ require_dkim = false }}
        domains."notacme.test" = {{ require_dkim = false }}
    """
    config = loaded(text)
    assert (config.advertise, config.rules().takes_mail) == (True, True)
    assert config.titles == {"acme": "Acme & Söhne"}
    told = [problem for problem in config.warnings if "RFC 9477" in problem.text]
    assert [problem.path for problem in told] == ['tenants.acme.domains."notacme.test"']
