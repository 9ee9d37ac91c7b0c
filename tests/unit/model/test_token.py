"""Tokens, read back by a reader that lives here: the mint alone is product code so far."""

import base64
import hmac

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from mta.model.ids import payload_key
from mta.model.token import TokenMint, one_click_key

SECRET = b"0123456789abcdef0123456789abcdef"
KEY = payload_key("acme", "p1")
MINT = TokenMint("k2", SECRET)


def read(token: str, secret: bytes = SECRET) -> tuple[bytes, int, bytes]:
    """Payload key, index and the MAC of the recipient; ValueError for a token that is not ours."""
    key_id, raw = token[:2], base64.b32decode(token[2:].upper() + "=")
    if base64.b32encode(raw)[:55].decode().lower() != token[2:]:
        raise ValueError("not canonical: the last character has three spare bits")
    head, mac, claim = raw[:18], raw[18:30], raw[30:]
    if not hmac.compare_digest(hmac.digest(secret, key_id.encode() + head, "sha256")[:12], mac):
        raise ValueError("forged")
    return head[:16], int.from_bytes(head[16:], "big"), claim


@given(st.binary(min_size=16, max_size=16), st.integers(0, 65_535), st.emails())
def test_return_path_reads_back(key: bytes, index: int, recipient: str) -> None:
    """57 characters of lower-case base32, and all three parts in them."""
    token = MINT.return_path(key, index, recipient)
    assert len(token) == 57
    assert set(token[2:]) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert len(f"b+{token}") <= 64
    claim = hmac.digest(SECRET, recipient.lower().encode(), "sha256")[:4]
    assert read(token) == (key, index, claim)


def test_return_path_survives_a_change_of_case() -> None:
    """Some servers upper-case local parts (L-08)."""
    token = MINT.return_path(KEY, 3, "Bob@Example.test")
    assert token == MINT.return_path(KEY, 3, "bob@example.test")
    assert read(token.upper().lower())[:2] == (KEY, 3)


@pytest.mark.parametrize("place", range(57))
def test_every_character_counts(place: int) -> None:
    """A changed character is a forged token, or another claim about the recipient."""
    token = MINT.return_path(KEY, 3, "bob@example.test")
    changed = token[:place] + ("a" if token[place] != "a" else "b") + token[place + 1 :]
    try:
        assert read(changed) != read(token)
    except ValueError:
        return


def test_keys_differ() -> None:
    """The key id is under the MAC, and another secret makes another token."""
    other = TokenMint("k2", SECRET[::-1])
    assert other.return_path(KEY, 3, "b@x.test") != MINT.return_path(KEY, 3, "b@x.test")
    renamed = TokenMint("k3", SECRET).return_path(KEY, 3, "b@x.test")
    assert renamed[29:] != MINT.return_path(KEY, 3, "b@x.test")[29:]


def opened(token: str) -> list[object]:
    sealed = base64.urlsafe_b64decode(token[2:] + "=" * (-len(token[2:]) % 4))
    content = AESSIV(one_click_key(SECRET)).decrypt(sealed, [token[:2].encode()])
    return list(msgspec.msgpack.decode(content))


@given(st.text(max_size=64), st.text(max_size=64), st.emails())
def test_one_click_reads_back(campaign: str, stream: str, recipient: str) -> None:
    """It needs no store: all is inside, and it is fit for a URL."""
    token = MINT.one_click("acme", campaign, stream, recipient, b"m" * 16)
    assert opened(token) == ["acme", campaign, stream, recipient, b"m" * 16]
    assert token.replace("-", "").replace("_", "").isalnum()


def test_one_click_is_sealed() -> None:
    """Opaque, unforgeable (L-02), and the same for the same message, since every attempt must be the same."""
    token = MINT.one_click("acme", "spring", "news", "bob@example.test", b"m" * 16)
    assert token == MINT.one_click("acme", "spring", "news", "bob@example.test", b"m" * 16)
    assert "bob" not in token
    for place in range(2, len(token) - 1):
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(InvalidTag):
            opened(changed)


@pytest.mark.parametrize(
    ("key_id", "secret"), [("k", SECRET), ("k22", SECRET), ("K2", SECRET), ("k-", SECRET), ("k2", b"short")]
)
def test_bad_key(key_id: str, secret: bytes) -> None:
    """Two letters or digits, and a secret that is one."""
    with pytest.raises(ValueError):
        TokenMint(key_id, secret)
