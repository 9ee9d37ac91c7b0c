import os
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from msgspec import structs

from mta.config.load import load
from mta.demo.configuration import Plan, Route, dkim_record, write

PLAN = Plan(
    node="demo",
    tenant="demo",
    domain="demo.test",
    routes=(Route("*.google.test", 2525, "google"), Route("*.other.test", 2526)),
    shaping='[default]\nconnections = 3\n[providers.google]\nmx = [".google.com"]\n',
    greylist="3s",
    schedule=("2s", "5s"),
)


def test_loads_as_a_configuration(tmp_path: Path) -> None:
    """What is written is what an operator could have written: the loader takes it without a complaint."""
    config = load(write(tmp_path, PLAN), {})
    assert config.node.name == "demo"
    assert config.node.state_dir == tmp_path / "state"


def test_others_send_from_the_same_domain(tmp_path: Path) -> None:
    """With the same key, each a tenant of its own."""
    tenants = load(write(tmp_path, structs.replace(PLAN, others=("large",))), {}).tenants
    assert sorted(tenants) == ["demo", "large"]
    assert {name for one in tenants.values() for name in one.domains} == {"demo.test"}


def test_keys_are_private(tmp_path: Path) -> None:
    """No key is readable for others."""
    write(tmp_path, PLAN)
    for name in ("demo.test.pem", "token-k1"):
        assert os.stat(tmp_path / name).st_mode & 0o077 == 0


def test_record_belongs_to_the_key(tmp_path: Path) -> None:
    """The TXT record carries the public half of the key that signs."""
    write(tmp_path, PLAN)
    key = serialization.load_pem_private_key((tmp_path / "demo.test.pem").read_bytes(), None)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    base64 = dkim_record(tmp_path, "demo.test").removeprefix(b"v=DKIM1; k=rsa; p=")
    assert base64 == b"".join(public.splitlines()[1:-1])
