"""Tokens, read back by the product's reader and by one that lives here and shares nothing with it."""

import base64
import hmac
import string
import uuid

import msgspec
import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import given
from hypothesis import strategies as st

from mta.model import token as token_module
from mta.model.ids import payload_key
from mta.model.token import AddressToken, OneClick, Purpose, TokenKey, TokenMint, TokenReader, one_click_key

SECRET = b"0123456789abcdef0123456789abcdef"
OLD = b"fedcba9876543210"
KEY = payload_key("acme", "p1")
MINT = TokenMint("k2", SECRET)
READER = TokenReader([TokenKey("k1", OLD), TokenKey("k2", SECRET)])
MESSAGE = uuid.UUID("0199c9f0-7f10-7abc-8def-0123456789ab").bytes
BOB = "bob@example.test"
VALID = {purpose: f"{purpose}+{MINT.address(purpose, KEY, 3, BOB)}" for purpose in Purpose}
CLICK = MINT.one_click("acme", "spring", "news", BOB, MESSAGE)
DIGITS = string.ascii_lowercase + "234567"


def oracle(local_part: str, secret: bytes = SECRET) -> tuple[bytes, int, bytes]:
    """Payload key, index and the MAC of the recipient; ValueError for a token that is not ours."""
    letter, plus, token = local_part[0], local_part[1], local_part[2:]
    key_id, raw = token[:2], base64.b32decode(token[2:].upper() + "=")
    if plus != "+" or base64.b32encode(raw)[:55].decode().lower() != token[2:]:
        raise ValueError("not canonical: the last character has three spare bits")
    head, mac, claim = raw[:18], raw[18:30], raw[30:]
    suffix = b"" if letter == "b" else letter.encode()
    if hmac.digest(secret, key_id.encode() + head + suffix, "sha256")[:12] != mac:
        raise ValueError("forged")
    return head[:16], int.from_bytes(head[16:], "big"), claim


@given(st.sampled_from(Purpose), st.binary(min_size=16, max_size=16), st.integers(0, 65_535), st.emails())
def test_l08_an_address_token_reads_back(purpose: Purpose, key: bytes, index: int, recipient: str) -> None:
    """57 characters of lower-case base32, all parts in them, for both readers the same."""
    token = MINT.address(purpose, key, index, recipient)
    assert len(token) == 57
    assert set(token[2:]) <= set(DIGITS)
    assert len(f"{purpose}+{token}") <= 64
    claim = hmac.digest(SECRET, recipient.lower().encode(), "sha256")[:4]
    found = READER.address(f"{purpose}+{token}")
    assert found == AddressToken(purpose, "k2", key, index, claim)
    assert oracle(f"{purpose}+{token}") == (key, index, claim)
    assert READER.is_of(found, recipient.upper())


def test_the_return_path_is_what_it_was() -> None:
    """Tokens are in mail that is on its way: what was minted before must be read for 45 days."""
    assert MINT.return_path(KEY, 3, BOB) == MINT.address(Purpose.BOUNCE, KEY, 3, BOB)
    assert VALID[Purpose.BOUNCE] == "b+k2hcd3b65ymbdlptazvnfrbvt7ayaahjzm2dcgdydvkzhxv3j7ergcmca"


def test_l08_a_token_survives_a_change_of_case() -> None:
    """Some servers upper-case local parts."""
    for valid in VALID.values():
        assert READER.address(valid.upper()) == READER.address(valid) is not None
    assert MINT.return_path(KEY, 3, "Bob@Example.test") == MINT.return_path(KEY, 3, BOB)


@pytest.mark.parametrize("purpose", Purpose)
@pytest.mark.parametrize("place", range(59))
def test_h11_every_character_counts(purpose: Purpose, place: int) -> None:
    """Each other character in each place is no token, or a claim about another recipient that does not hold: the last
    4 bytes are checked against the address of a report, where one is named."""
    valid = VALID[purpose]
    for character in sorted(set(DIGITS + string.digits + "+-=_ \n\0é") - {valid[place]}):
        changed = READER.address(valid[:place] + character + valid[place + 1 :])
        if changed is not None:
            assert place >= 52
            assert not READER.is_of(changed, BOB)


@pytest.mark.parametrize("bit", range(272))
def test_h11_every_bit_counts(bit: int) -> None:
    """Of the 34 bytes, 240 bits are under the MAC and 32 are the claim."""
    raw = bytearray(base64.b32decode(VALID[Purpose.BOUNCE][4:].upper() + "="))
    raw[bit // 8] ^= 0x80 >> bit % 8
    changed = READER.address("b+k2" + base64.b32encode(raw).decode().rstrip("=").lower())
    assert changed is None if bit < 240 else changed is not None and not READER.is_of(changed, BOB)


@pytest.mark.parametrize("purpose", Purpose)
def test_h11_one_kind_is_not_another(purpose: Purpose) -> None:
    """A return path is in everybody's hands who got the mail: nobody can complain with it."""
    for letter in set(string.ascii_lowercase) - {purpose.value}:
        assert READER.address(letter + VALID[purpose][1:]) is None


@pytest.mark.parametrize("spare", range(1, 8))
def test_h11_one_token_has_one_spelling(spare: int) -> None:
    """The last character has three bits to spare, which base32 decoders pass over."""
    valid = VALID[Purpose.BOUNCE]
    other = DIGITS[DIGITS.index(valid[-1]) | spare]
    assert DIGITS.index(valid[-1]) & 7 == 0
    assert base64.b32decode(f"{valid[4:-1]}{other}=".upper()) == base64.b32decode(f"{valid[4:]}=".upper())
    assert READER.address(valid[:-1] + other) is None


@given(st.text(max_size=80) | st.from_regex(r"[buf]\+[a-z0-9]{2}[a-z2-7]{55}", fullmatch=True))
def test_h11_garbage_is_no_token(local_part: str) -> None:
    """Nothing raises, whatever stands before an @."""
    assert READER.address(local_part) is None


@pytest.mark.parametrize("valid", VALID.values())
def test_h11_a_part_of_a_token_is_none(valid: str) -> None:
    """Nor is one with something before or behind it."""
    assert [READER.address(valid[:end]) for end in range(len(valid))] == [None] * len(valid)
    assert [READER.address(text) for text in (valid + "a", valid + "\n", " " + valid, valid + "=")] == [
        None
    ] * 4


def test_t3_keys_are_changed_without_losing_a_report() -> None:
    """Every key reads, only the last one mints; one that is taken away reads no more."""
    old = TokenMint("k1", OLD)
    before, click = f"b+{old.return_path(KEY, 3, BOB)}", old.one_click("acme", "", "", BOB, MESSAGE)
    assert READER.address(before) == AddressToken(
        Purpose.BOUNCE, "k1", KEY, 3, hmac.digest(OLD, BOB.encode(), "sha256")[:4]
    )
    assert READER.one_click(click) == OneClick("acme", "", "", BOB, MESSAGE)
    later = TokenReader([TokenKey("k2", SECRET)])
    found = READER.address(before)
    assert found is not None
    assert (later.address(before), later.one_click(click), later.is_of(found, BOB)) == (None, None, False)
    assert later.address(VALID[Purpose.BOUNCE]) is not None


def test_a_key_counts_under_its_own_name_only() -> None:
    """The id is under the MAC and in the seal: two keys that change names read nothing of each other."""
    swapped = TokenReader([TokenKey("k2", OLD), TokenKey("k1", SECRET)])
    assert swapped.address(VALID[Purpose.BOUNCE]) is None
    assert swapped.address("b+k1" + VALID[Purpose.BOUNCE][4:]) is None
    assert (swapped.one_click(CLICK), swapped.one_click("k1" + CLICK[2:])) == (None, None)
    assert TokenMint("k3", SECRET).return_path(KEY, 3, BOB)[29:] != MINT.return_path(KEY, 3, BOB)[29:]


def test_macs_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """`==` would tell by its time how many bytes were guessed: each comparison of bytes from outside goes through
    `hmac.compare_digest`."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append((bytes(a), bytes(b)))
        return a == b

    monkeypatch.setattr(token_module.hmac, "compare_digest", compare)
    found = READER.address(VALID[Purpose.FEEDBACK])
    assert found is not None
    READER.is_of(found, "eve@example.test")
    assert [len(a) for a, _ in compared] == [12, 4]


def test_a_report_about_somebody_else_is_noticed() -> None:
    """Lone surrogates too, which a report can hold."""
    found = READER.address(VALID[Purpose.BOUNCE])
    assert found is not None
    assert READER.is_of(found, "BOB@example.TEST")
    assert not any(
        READER.is_of(found, address) for address in ("", "eve@example.test", "bob@example.tes\udc80")
    )


def test_secrets_stay_out_of_what_is_shown() -> None:
    """D13: a key in a traceback or a log is its name."""
    assert "0123" not in repr(TokenKey("k2", SECRET))


def unsealed(token: str) -> list[object]:
    sealed = base64.urlsafe_b64decode(token[2:] + "=" * (-len(token[2:]) % 4))
    content = AESSIV(one_click_key(SECRET)).decrypt(sealed, [token[:2].encode()])
    return list(msgspec.msgpack.decode(content))


def sealed(content: object) -> str:
    """As the mint does it, whatever is inside."""
    raw = AESSIV(one_click_key(SECRET)).encrypt(msgspec.msgpack.encode(content), [b"k2"])
    return "k2" + base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


@given(st.text(max_size=64), st.text(max_size=64), st.emails())
def test_l02_one_click_reads_back(campaign: str, stream: str, recipient: str) -> None:
    """It needs no store: all is inside, and it is fit for a URL."""
    token = MINT.one_click("acme", campaign, stream, recipient, MESSAGE)
    assert unsealed(token) == ["acme", campaign, stream, recipient, MESSAGE]
    assert READER.one_click(token) == OneClick("acme", campaign, stream, recipient, MESSAGE)
    assert token.replace("-", "").replace("_", "").isalnum()


def test_l02_one_click_is_sealed() -> None:
    """Opaque, and the same for the same message, since every attempt must be the same."""
    assert MINT.one_click("acme", "spring", "news", BOB, MESSAGE) == CLICK
    assert "bob" not in CLICK
    assert b"bob" not in base64.urlsafe_b64decode(CLICK[2:] + "=" * (-len(CLICK[2:]) % 4))


def test_l02_one_click_cannot_be_forged() -> None:
    """Any other character anywhere, any part, anything more."""
    alphabet = string.ascii_letters + string.digits + "-_"
    for place in range(len(CLICK)):
        for character in set(alphabet + "=+/ %\0é") - {CLICK[place]}:
            assert READER.one_click(CLICK[:place] + character + CLICK[place + 1 :]) is None
    assert [READER.one_click(CLICK[:end]) for end in range(len(CLICK))] == [None] * len(CLICK)
    assert [READER.one_click(text) for text in (CLICK + "A", CLICK + "=", CLICK + "\n", CLICK * 2)] == [
        None
    ] * 4
    with pytest.raises(InvalidTag):
        unsealed(CLICK[:-4] + "AAAA")


@pytest.mark.parametrize("campaign", ["", "a", "ab"])
def test_l02_one_link_has_one_spelling(campaign: str) -> None:
    """Whatever bits the last character has to spare."""
    token = MINT.one_click("acme", campaign, "", BOB, MESSAGE)
    assert READER.one_click(token) is not None
    for character in set(string.ascii_letters + string.digits + "-_") - {token[-1]}:
        assert READER.one_click(token[:-1] + character) is None


@given(
    st.text(max_size=100) | st.from_regex(r"k2[A-Za-z0-9_-]{0,100}", fullmatch=True) | st.binary(max_size=80)
)
def test_l02_garbage_is_no_link(text: str | bytes) -> None:
    """Nothing raises, also where it is base64 of something."""
    if isinstance(text, bytes):
        text = "k2" + base64.urlsafe_b64encode(text).rstrip(b"=").decode()
    assert READER.one_click(text) is None


@pytest.mark.parametrize("size", [2003, 10_000, 5_000_000])
def test_a_link_without_end_is_refused_unread(size: int) -> None:
    assert READER.one_click("k2" + "A" * size) is None


@pytest.mark.parametrize(
    "content",
    [
        [],
        "acme",
        ["acme", "spring", "news", BOB],
        ["acme", "spring", "news", BOB, MESSAGE[:15]],
        ["acme", "spring", "news", BOB, MESSAGE + b"x"],
        ["acme", "spring", "news", 7, MESSAGE],
        [None, "spring", "news", BOB, MESSAGE],
    ],
)
def test_what_was_sealed_by_another_program_is_checked(content: object) -> None:
    """A key shared with something else must not bring the endpoint down."""
    assert READER.one_click(sealed(["acme", "spring", "news", BOB, MESSAGE])) is not None
    assert READER.one_click(sealed(content)) is None


@pytest.mark.parametrize(
    ("key_id", "secret"), [("k", SECRET), ("k22", SECRET), ("K2", SECRET), ("k-", SECRET), ("k2", b"short")]
)
def test_bad_key(key_id: str, secret: bytes) -> None:
    """Two letters or digits, and a secret that is one."""
    with pytest.raises(ValueError):
        TokenMint(key_id, secret)
