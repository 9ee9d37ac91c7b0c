"""Our signer, judged by dkimpy."""

import re
import time

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from dkim.canonicalization import Relaxed
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.compose.dkim import (
    LIFETIME_S,
    MAX_REPEATED,
    OVERSIGNED,
    Draft,
    KeyRefused,
    Signer,
    body_hash,
    load_key,
    load_keys,
    relaxed_body,
    relaxed_field,
    signing_plan,
)
from mta.compose.settings import DkimKey
from tests.fakes.keys import ed25519_pem, pem, rsa_key, rsa_pem
from tests.unit.compose.builders import NOW, dkimpy_accepts, loaded

lines = st.lists(st.text(st.sampled_from("ab .\t=<é"), max_size=12).map(str.encode), max_size=8).map(
    b"\r\n".join
)
bodies = lines.map(lambda body: body if not body or body.endswith(b"\r\n") else body + b"\r\n")
FIELDS = (("From", "news@acme.test"), ("To", "bob@example.test"), ("Subject", "Hello"), ("X-Ref", "1"))


def signed(body: bytes = b"Hi\r\n", fields: tuple[tuple[str, str], ...] = FIELDS, *keys: DkimKey) -> bytes:
    signer = Signer(loaded(*(keys or (rsa_key(),))))
    draft = Draft("b@acme.test", "bob@example.test", fields, body)
    signatures = signer.sign(draft, body_hash(body), time.time())
    head = "".join(f"{name}: {value}\r\n" for name, value in (*signatures, *fields))
    return head.encode("ascii") + b"\r\n" + body


@given(bodies)
def test_relaxed_body_is_dkimpys(body: bytes) -> None:
    """Replacing makes what patterns make."""
    assert relaxed_body(body) == Relaxed.canonicalize_body(body)


@given(st.text(st.sampled_from("ab \t"), max_size=20), st.integers(0, 20))
def test_relaxed_field_is_dkimpys(value: str, fold: int) -> None:
    """Folded anywhere in front of white space."""
    if value[fold : fold + 1] in (" ", "\t") and value[fold : fold + 1]:
        value = f"{value[:fold]}\r\n{value[fold:]}"
    ((name, canonical),) = Relaxed.canonicalize_headers([(b"X-Ref", b" " + value.encode() + b"\r\n")])
    assert relaxed_field("x-ref", value).encode() == name + b":" + canonical


@settings(max_examples=50, deadline=None)
@given(bodies)
def test_any_body_verifies(body: bytes) -> None:
    """Empty, dots alone, white space at ends, 8-bit."""
    assert dkimpy_accepts(signed(body), rsa_key())


@pytest.mark.parametrize(
    "body", [b"", b"\r\n", b".\r\n", b"..\r\n.\r\n", b"a\r\n\r\n\r\n", b" \r\n", b"\t x  y\r\n", b"\xff\r\n"]
)
def test_body_verifies(body: bytes) -> None:
    """The cases that went wrong elsewhere (E14, B30)."""
    assert dkimpy_accepts(signed(body), rsa_key())


@pytest.mark.parametrize("name", [*OVERSIGNED, "x-ref"])
def test_an_added_field_breaks_the_signature(name: str) -> None:
    """K-05: no singleton can be added, be it there or not; X- fields of ours are signed as often as
    present, so one on top takes the place of none."""
    wire = signed()
    added = f"{name}: evil\r\n".encode()
    on_top, at_end = added + wire, wire.replace(b"\r\n\r\n", b"\r\n" + added + b"\r\n", 1)
    assert not dkimpy_accepts(at_end, rsa_key())
    if name != "x-ref":
        assert not dkimpy_accepts(on_top, rsa_key())


def test_other_fields_may_be_added() -> None:
    """Received and the like come with every hop."""
    assert dkimpy_accepts(b"Received: by x\r\nList-Help: <mailto:h@x.test>\r\n" + signed(), rsa_key())


def test_appended_text_breaks_the_signature() -> None:
    """There is no l= (K-04)."""
    wire = signed()
    assert not dkimpy_accepts(wire + b"evil\r\n", rsa_key())
    assert not re.search(rb"[;\s]l=", wire)


def test_a_changed_field_breaks_the_signature() -> None:
    """Every signed field is covered."""
    for name, value in FIELDS:
        wire = signed().replace(f"{name}: {value}".encode(), f"{name}: {value}2".encode())
        assert not dkimpy_accepts(wire, rsa_key()), name


def test_folded_and_spaced_fields_verify() -> None:
    """Whatever a sender's own fields look like."""
    fields = (*FIELDS, ("X-Long", "a \r\n\t b  c"), ("Date", "x"), ("date2", ""), ("X-Empty", ""))
    assert dkimpy_accepts(signed(b"Hi\r\n", fields), rsa_key())


def test_repeated_fields_are_signed_from_the_bottom() -> None:
    """RFC 6376 section 5.4.2."""
    fields = (*FIELDS, ("X-Ref", "2"), ("X-Ref", "3"))
    wire = signed(b"Hi\r\n", fields)
    assert dkimpy_accepts(wire, rsa_key())
    assert not dkimpy_accepts(wire.replace(b"X-Ref: 2", b"X-Ref: 4"), rsa_key())


def test_signature_has_times_and_no_surprises() -> None:
    """K-07, and the tags in full; every line is short."""
    signer = Signer(load_keys([rsa_key()])[0])
    ((name, value),) = signer.sign(Draft("", "", FIELDS, b""), body_hash(b""), NOW + 0.9)
    assert name == "DKIM-Signature"
    tags = dict(tag.strip().split("=", 1) for tag in value.replace("\r\n", "").split(";"))
    assert list(tags) == ["v", "a", "c", "d", "s", "t", "x", "h", "bh", "b"]
    assert (tags["a"], tags["c"]) == ("rsa-sha256", "relaxed/relaxed")
    assert (int(tags["t"]), int(tags["x"])) == (NOW, NOW + LIFETIME_S)
    assert all(len(line) <= 78 for line in value.split("\r\n"))
    assert tags["bh"] == "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="


def test_what_is_signed() -> None:
    """K-05 once more than present, K-06 as often, the rest never."""
    names, _ = signing_plan(["From", "To", "Received", "Feedback-ID", "X-A", "Comments", "X-Odd;b", "Bcc"])
    listed = names.replace("|", "").split(":")
    assert [listed.count(name) for name in ("from", "to", "cc", "feedback-id", "x-a")] == [2, 2, 1, 1, 1]
    assert not {"received", "comments", "x-odd;b", "bcc", "dkim-signature", "return-path"} & set(listed)


def test_two_signatures_rsa_on_top() -> None:
    """K-02: Ed25519 in addition; both verify (the second by dkimpy's parser and another's curve: see the
    canary)."""
    second = DkimKey("acme.test", "e1", ed25519_pem())
    wire = signed(b"Hi\r\n", FIELDS, second, rsa_key())
    assert re.findall(rb"DKIM-Signature: v=1; a=([a-z0-9-]+)", wire) == [b"rsa-sha256", b"ed25519-sha256"]
    assert dkimpy_accepts(wire, rsa_key())


@pytest.mark.parametrize(("bits", "warns"), [(2048, False), (1024, True)])
def test_short_key_warns(bits: int, warns: bool) -> None:
    """K-01."""
    key, warnings = load_key(rsa_key(bits=bits))
    assert key.bits == bits
    assert bool(warnings) is warns


def test_small_key_is_refused() -> None:
    """512 bits (E16). Made elsewhere: no library here makes one any more."""
    tiny = DkimKey("acme.test", "s1", RSA_512)
    with pytest.raises(KeyRefused, match="512 bits"):
        load_key(tiny)


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", rsa_pem(1024)[:200], pem(ec.generate_private_key(ec.SECP256R1()))]
)
def test_bad_key_is_refused(content: bytes) -> None:
    """And never quoted."""
    with pytest.raises(KeyRefused) as refusal:
        load_key(DkimKey("acme.test", "s1", content))
    assert "PRIVATE" not in str(refusal.value)


def test_ed25519_alone_is_refused() -> None:
    """K-02: many verifiers need the RSA signature."""
    with pytest.raises(KeyRefused, match="in addition"):
        load_keys([DkimKey("acme.test", "e1", ed25519_pem())])


@pytest.mark.parametrize(
    ("domain", "selector"),
    [("acme.test;", "s"), ("acme.test", "s\r\n"), ("acme test", "s"), ("", "s"), ("acme.test", "")],
)
def test_bad_names_are_refused(domain: str, selector: str) -> None:
    """They stand in a tag list."""
    with pytest.raises(KeyRefused):
        load_key(DkimKey(domain, selector, rsa_pem()))


def test_no_key_in_its_repr() -> None:
    """Settings get logged."""
    assert "PRIVATE" not in repr(rsa_key())


RSA_512 = b"""-----BEGIN RSA PRIVATE KEY-----
MIIBOQIBAAJBAMqUA6DgAJ2Ja8MAKvS2jaRymHjc38aHwE73GNBb4GsPL6hwe2TE
9dc0oPw6JSruvUA41yT7WRrUO+XGdCHa1TECAwEAAQJAE5wQXdpRNO7Ah7fUcKvb
Ojf9mnWHE+jALOSuejzqlHJPvIFUrXvdCw4haqt312N9bwL4g2xYU8Ck1YPYT7uU
IQIhAO/0p6uXCiXHDHX01j7ROGPsmpiC25lU59mjHhj884MXAiEA2B+Ql64SMj7W
osO5BjHe1ItzVAEpSFL1ZjVk+S8TtvcCIDot5aFzA6DZPCo1bOTaMYP40Br+T2RD
89sO87M3UYuNAiAOCP662vMTkEEgENXTMSnnY6b5rZmguMJ3AMCt7gC5wQIgW2Rf
zdty2MUfnS/RE+SHDq2yzy1QwHeqrcPZ+h9gNwQ=
-----END RSA PRIVATE KEY-----
"""


def test_what_is_remembered_is_not_mixed_up() -> None:
    """Another From, another second, another shape: each is signed as what it is, and memory is bounded."""
    keys = loaded(rsa_key())
    signer = Signer(keys)
    for number in range(MAX_REPEATED + 2):
        fields = (("From", f"a{number}@acme.test"), ("Date", "x"))
        assert signer.cover(Draft("", "", fields, b""), "bh", NOW)
    assert len(signer._relaxed) <= MAX_REPEATED
    for at, shape in (
        (NOW, (("From", "a@acme.test"), ("Subject", "x"))),
        (NOW + 1, (("From", "b@acme.test"), ("Subject", "x"))),
        (NOW, (("Subject", "x"), ("From", "b@acme.test"))),
    ):
        draft = Draft("", "", shape, b"")
        assert signer.sign(draft, "bh", at) == Signer(keys).sign(draft, "bh", at)
