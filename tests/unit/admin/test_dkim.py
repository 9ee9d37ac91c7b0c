import json
from pathlib import Path
from typing import Any

import pytest

from mta.admin.dkim import keys_of, show
from mta.admin.dkim_record import strings
from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.output import Output
from mta.compose.dkim import load_key
from mta.config.load import load
from mta.config.settings import Config
from tests.fakes.keys import ed25519_pem, rsa_key, rsa_pem
from tests.unit.config.conftest import write

TEXT = """
[tenants.acme]
return_path = "b.acme.test"
domains."acme.test" = { dkim = [{ selector = "S1", key = "rsa" }, { selector = "e1", key = "ed" }] }
domains."Bücher.test" = { dkim = [{ selector = "s1", key = "rsa" }] }
domains."open.test" = { require_dkim = false }
[tenants.shop]
return_path = "b.shop.test"
domains."acme.test" = { dkim = [{ selector = "s1", key = "rsa" }] }
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """Two tenants, who share a domain and its key."""
    write(tmp_path / "dkim" / "rsa", rsa_pem(2048))
    write(tmp_path / "ed", ed25519_pem())
    return load(write(tmp_path / "mta.toml", TEXT), {})


@pytest.mark.parametrize(
    ("domain", "tenant", "names"),
    [
        ("", "", ["s1 acme.test acme+shop", "e1 acme.test acme", "s1 xn--bcher-kva.test acme"]),
        ("ACME.test", "", ["s1 acme.test acme+shop", "e1 acme.test acme"]),
        ("bücher.test", "", ["s1 xn--bcher-kva.test acme"]),
        ("", "shop", ["s1 acme.test shop"]),
        ("acme.test", "acme", ["s1 acme.test acme", "e1 acme.test acme"]),
    ],
)
def test_keys_are_chosen_by_domain_and_tenant(
    config: Config, domain: str, tenant: str, names: list[str]
) -> None:
    """Each once, in the order of the file, with all whom it signs for."""
    found = keys_of(config, domain, tenant)
    assert [f"{one.key.selector} {one.key.domain} {'+'.join(one.tenants)}" for one in found] == names


@pytest.mark.parametrize(
    ("domain", "tenant", "said"),
    [
        (
            "open.test",
            "",
            "no key of open.test is configured: make one with `mta dkim gen DOMAIN SELECTOR --config ",
        ),
        ("other.test", "", "no key of other.test is configured"),
        ("", "nobody", r"there is no tenant nobody \(there are: acme, shop\)"),
        ("xn--bcher-kva.test", "shop", "no key of xn--bcher-kva.test is configured"),
    ],
)
def test_without_a_key_the_way_to_one_is_told(config: Config, domain: str, tenant: str, said: str) -> None:
    """Nothing asked about is never a pass."""
    with pytest.raises(WrongInput, match=said):
        keys_of(config, domain, tenant)


def test_what_is_no_domain_is_wrong_usage(config: Config) -> None:
    """Said with what is wrong."""
    with pytest.raises(WrongUsage, match="is no domain name"):
        keys_of(config, "a b")


def shown(config: Config, said: pytest.CaptureFixture[bytes]) -> list[dict[str, Any]]:
    assert show(keys_of(config), Output(as_json=True)) == 0
    return [json.loads(line) for line in said.readouterr().out.splitlines()]


def test_each_key_is_shown_with_its_record(
    tmp_path: Path, config: Config, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Where it was found, what it is, and what belongs into DNS."""
    first, second, third = shown(config, capsysbinary)
    record = load_key(rsa_key())[0].dns_record()
    assert first == {
        "tenants": ["acme", "shop"],
        "domain": "acme.test",
        "selector": "s1",
        "kind": "rsa",
        "bits": 2048,
        "file": f"{tmp_path}/dkim/rsa",
        "name": "s1._domainkey.acme.test",
        "record": record,
        "zone": f's1._domainkey.acme.test. IN TXT ( "{record[:255]}" "{record[255:]}" )',
    }
    assert (second["kind"], second["bits"], second["file"]) == ("ed25519", 0, f"{tmp_path}/ed")
    assert third["record"] == record


def test_a_private_key_is_never_shown(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither to people nor to programs."""
    assert rsa_pem(2048) in {key.pem for keys in config.keys.dkim.values() for key in keys}
    secrets = [line for pem in (rsa_pem(2048), ed25519_pem()) for line in pem.decode().splitlines()]
    for as_json in (False, True):
        show(keys_of(config), Output(as_json))
        out = capsys.readouterr().out
        assert "s1._domainkey.acme.test" in out
        assert [line for line in secrets if line in out] == []


def test_people_see_the_zone_line_whole(config: Config, capsys: pytest.CaptureFixture[str]) -> None:
    """On one line, to be copied."""
    show(keys_of(config, "acme.test"), Output())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("acme.test s1: RSA, 2048 bits, /")
    assert lines[1] == "signs for acme, shop"
    assert all(f'"{part}"' in lines[2] for part in strings(load_key(rsa_key())[0].dns_record()))
