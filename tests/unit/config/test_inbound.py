from collections.abc import Callable
from pathlib import Path

import pytest

from mta.config.settings import Config
from mta.inbound.settings import InboundSettings
from tests.unit.config.conftest import write

Loaded = Callable[..., Config]
Refused = Callable[..., list[str]]

KEYS = "[tokens]\nkeys = { k1 = 'token-k1' }\n[inbound]\n"


@pytest.fixture(autouse=True)
def token_key(tmp_path: Path) -> None:
    write(tmp_path / "token-k1", "0123456789abcdef" * 2)


def test_it_is_off_by_default(loaded: Loaded) -> None:
    assert loaded("").inbound == InboundSettings()


@pytest.mark.parametrize(
    ("text", "listen"),
    [
        ("0.0.0.0:25", "0.0.0.0:25"),
        ("127.0.0.1:2525", "127.0.0.1:2525"),
        ("[::]:2525", "[::]:2525"),
        ("192.0.2.1", "192.0.2.1:25"),
        ("[2001:0db8::1]", "[2001:db8::1]:25"),
    ],
)
def test_every_value_arrives(loaded: Loaded, text: str, listen: str) -> None:
    """The port is 25 where none is given."""
    config = loaded(f"{KEYS}listen = '{text}'\nfeedback = 'FBL'\nmax_connections = 5")
    assert config.inbound == InboundSettings(listen=listen, feedback="fbl", max_connections=5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("listen = 'mx.acme.test:25'", "inbound.listen: expected an address"),
        ("listen = ':25'", "inbound.listen: expected an address"),
        ("listen = '0.0.0.0:99999'", "inbound.listen: expected an address"),
        ("max_connections = 0", "inbound.max_connections: expected 1 to"),
        ("feedback = 'a@b'", "inbound.feedback: expected a local part"),
        ("feedback = 'b+k1'", "inbound.feedback: expected a local part"),
        ("certificate = 'c.pem'", "inbound.certificate: and inbound.key go together"),
        ("key = 'k.pem'", "inbound.certificate: and inbound.key go together"),
    ],
)
def test_what_cannot_be_meant_is_refused(refused: Refused, line: str, said: str) -> None:
    [problem] = refused(f"{KEYS}{line}")
    assert said in problem


def test_without_a_token_key_nobody_could_come_in(refused: Refused) -> None:
    [problem] = refused("[inbound]\nlisten = '127.0.0.1:2525'")
    assert "needs a key in [tokens]" in problem


def test_a_certificate_is_looked_for_beside_the_file(loaded: Loaded, tmp_path: Path) -> None:
    """Its key where keys lie, or where it should."""
    write(tmp_path / "tls" / "k.pem", "key")
    config = loaded(f"{KEYS}certificate = 'c.pem'\nkey = 'k.pem'")
    assert (config.inbound.certificate, config.inbound.key) == (
        str(tmp_path / "c.pem"),
        str(tmp_path / "tls" / "k.pem"),
    )
    assert loaded(f"{KEYS}certificate = '/etc/c.pem'\nkey = 'k.pem'").inbound.certificate == "/etc/c.pem"


@pytest.mark.parametrize("mode", [0o644, None])
def test_h16_a_key_that_cannot_be_used_is_a_warning(loaded: Loaded, tmp_path: Path, mode: int | None) -> None:
    """Others may read it, or it is not there: the daemon runs without TLS."""
    if mode is not None:
        write(tmp_path / "k.pem", "key", mode)
    config = loaded(f"{KEYS}certificate = 'c.pem'\nkey = 'k.pem'")
    assert config.inbound.key == str(tmp_path / "k.pem")
    assert [warning.path for warning in config.warnings if "TLS" in warning.text] == ["inbound.key"]
