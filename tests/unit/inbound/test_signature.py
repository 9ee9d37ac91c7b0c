import base64
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given
from hypothesis import strategies as st

from mta.inbound.signature import Signature, aligned, holds
from tests.fakes.keys import rsa_pem
from tests.fakes.reports import signed


def signature(tags: str) -> bytes:
    return f"DKIM-Signature: {tags}\r\n".encode()


def sha256_of_body() -> str:
    return base64.b64encode(sha256(b"x\r\n").digest()).decode()


GOOD = "v=1; a=rsa-sha256; d=arf.example.test; s=s1; h=from; bh=x; b=y"
BODY = b"From: feedback@arf.example.test\r\n\r\nx\r\n"


def test_those_of_the_author_are_found() -> None:
    """His own domain's and those above it, with their place among all; folded as dkimpy folds."""
    raw = b"".join(
        (
            signature(GOOD.replace("arf.example", "evil")),
            signature(GOOD.replace("; ", ";\r\n ")),
            b"Received: by somebody\r\n",
            signature(GOOD.replace("arf.", "").replace("rsa", "ed25519")),
            BODY,
        )
    )
    assert aligned(raw, "arf.example.test") == (
        Signature(1, "arf.example.test", "s1"),
        Signature(2, "example.test", "s1"),
    )
    assert aligned(raw, "arf.example.test")[0].record == "s1._domainkey.arf.example.test"


@pytest.mark.parametrize(
    "tags",
    [
        GOOD.replace("arf.example.test", "other.test"),
        GOOD.replace("arf.example.test", "x.arf.example.test"),
        GOOD.replace("arf.example.test", "test"),
        GOOD.replace("arf.example.test", "rf.example.test"),
        GOOD.replace("rsa-sha256", "rsa-sha1"),
        GOOD.replace("s=s1; ", ""),
        GOOD.replace("d=", "e="),
        f"{GOOD}; l=0",
        f"{GOOD}; \r\n l = 10",
        f"l=0; {GOOD}",
        f"\r\n\tl = 10; {GOOD}",
        "",
        ";" * 10_000,
    ],
)
def test_others_are_not(tags: str) -> None:
    """Of strangers and children of the author's domain, of weak kind, of a part of the message, or broken."""
    assert aligned(signature(tags) + BODY, "arf.example.test") == ()


def test_few_are_looked_at() -> None:
    """Whoever writes hundreds makes us ask for five keys at most."""
    raw = b"".join(signature(GOOD.replace("s1", f"s{n}")) for n in range(500)) + BODY
    assert len(aligned(raw, "arf.example.test")) == 5


@pytest.mark.parametrize(
    ("tags", "more"),
    [
        (GOOD, b"X: a\r\n" + b" b\r\n" * 17_000),
        (GOOD.replace("h=from", "h=from" + ":x" * 300), b""),
    ],
    ids=["folded", "names"],
)
def test_h8_what_takes_a_verifier_long_is_not_looked_at(tags: str, more: bytes) -> None:
    """dkimpy adds up the lines of a field and goes through all fields for each name: a megabyte takes seconds."""
    assert aligned(signature(GOOD) + BODY, "arf.example.test")
    assert aligned(signature(tags) + more + BODY, "arf.example.test") == ()


STUMBLING = GOOD.replace("rsa", "ed25519").replace("b=y", "b=AAAA")


@pytest.mark.parametrize(
    "tags",
    [
        STUMBLING.replace("bh=x", "bh=abc"),
        STUMBLING.replace("bh=x", "i=arf.example.test; bh=abcd"),
        STUMBLING.replace("bh=x", f"bh={sha256_of_body()}"),
    ],
    ids=["padding", "identity", "short"],
)
def test_what_dkimpy_stumbles_over_does_not_hold(tags: str) -> None:
    """Errors that are not its own, of tags that are not what they should be."""
    raw = signature(tags) + BODY
    [found] = aligned(raw, "arf.example.test")
    record = "v=DKIM1; k=ed25519; p=" + "A" * 43 + "="
    assert not holds(raw, (found,), {found.record: record})


@pytest.mark.parametrize(
    ("bits", "note", "does"), [(2048, "", True), (4096, "", True), (2048, "x" * 1000, False)]
)
def test_h8_a_key_is_no_longer_than_anybody_needs(bits: int, note: str, does: bool) -> None:
    """Whoever complains publishes it, and one of 8192 bits with an exponent as long takes a second. Verifiers need up
    to 4096 (RFC 8301 section 3.2)."""
    pem = rsa_pem(bits)
    public = serialization.load_pem_private_key(pem, None).public_key()
    der = public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    raw = signed(BODY, pem, "arf.example.test")
    [found] = aligned(raw, "arf.example.test")
    record = f"v=DKIM1; k=rsa; n={note}; p={base64.b64encode(der).decode()}"
    assert holds(raw, (found,), {found.record: record}) is does


@given(st.binary(max_size=300))
def test_any_octets_may_come(raw: bytes) -> None:
    """Nothing is raised, nothing found that is not there."""
    for one in (raw, signature(GOOD) + raw, b"DKIM-Signature:" + raw + b"\r\n" + BODY):
        for found in aligned(one, "arf.example.test"):
            assert not holds(one, (found,), {found.record: "v=DKIM1; p="})
