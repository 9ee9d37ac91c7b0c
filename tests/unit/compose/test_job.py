"""What a worker makes of a chunk."""

import re
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import msgpack

from mta.compose.settings import DkimKey, SigningKeys
from mta.compose.spec import AttachmentPart, Composed, ComposeFailed, Inspection, Sources
from mta.model import ids
from mta.model.lane import Lane
from mta.model.payload import Address
from mta.model.token import Purpose, TokenKey, TokenMint, TokenReader
from tests.fakes.keys import ed25519_pem, rsa_key
from tests.unit.compose.builders import (
    AT,
    SECRET,
    addressee,
    compose,
    composed,
    dkimpy_accepts,
    failed,
    group,
    job,
    parsed,
    signing_keys,
    spec,
)

RFC822 = b"From: news@acme.test\r\nSubject: Mine\r\n\r\nBody\r\n"
KINDS: dict[str, dict[str, Any]] = {
    "text": {},
    "html": {"html": "<p>\n  {{ name }}\n</p>", "text": None},
    "alternative": {"html": "<p>{{ name }}</p>", "amp": "<html ⚡4email></html>"},
    "indented": {"html": "<html>\n\t<body>\n    <p>  x  </p> \n</html>\n\n\n"},
    "utf-8": {"text": "Grüße {{ name }}", "subject": "Grüße an {{ name }} " * 5, "from_name": "Größe"},
    "japanese": {"text": "日本語" * 500, "subject": "日本語" * 20},
    "empty": {"text": "", "subject": ""},
    "dot": {"text": "."},
    "dots": {"text": ".\n..\n.x\n\n.\n"},
    "no final line end": {"text": "a\nb"},
    "blank lines at the end": {"text": "a\n\n\n \n\t\n"},
    "long line": {"text": "x" * 5000},
    "998": {"text": "x" * 998 + "\n" + "y" * 999},
    "inline and attached": {
        "html": "<img>",
        "attachments": (
            AttachmentPart("a.pdf", "application/pdf", bytes(range(256)) * 20),
            AttachmentPart("b.png", "image/png", b"", True, "b@x"),
        ),
    },
    "unsubscribe": {
        "one_click": True,
        "public_url": "https://m.acme.test/",
        "unsubscribe_mailto": "u@acme.test",
        "list_id": "l.acme.test",
        "text": "{{ unsubscribe_url }}",
    },
    "transactional": {"lane": Lane.TRANSACTIONAL, "reply_to": (Address("h@acme.test", "Hilfe für Sie"),)},
    "own fields": {"headers": {"X-Ref": "a " * 200, "X-B": "ä" * 100, "Keywords": "k"}},
    "static": {"engine": "static", "text": "{{ nothing }}{% if"},
    "rfc822": {"rfc822": RFC822},
    "rfc822 eight bit": {"rfc822": RFC822 + b"\xff\xfe  \t\r\n\r\n"},
    "rfc822 empty": {"rfc822": b"From: news@acme.test\r\n\r\n"},
    "rfc822 bare": {"rfc822": RFC822.replace(b"\r\n", b"\n") + b".\r."},
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_verifies(kind: str) -> None:
    """dkimpy accepts it, one more field breaks it, and the wire is what a session may send."""
    wire = composed(spec(**KINDS[kind])).envelope.message.wire
    assert dkimpy_accepts(wire, rsa_key())
    for extra in (
        b"Subject: evil\r\n",
        b"From: evil@x.test\r\n",
        b"List-Unsubscribe: <https://evil.test>\r\n",
    ):
        assert not dkimpy_accepts(extra + wire, rsa_key())
    assert not dkimpy_accepts(wire + b"evil\r\n", rsa_key())
    assert wire.endswith(b"\r\n")
    assert wire.count(b"\r\n") == wire.count(b"\r") == wire.count(b"\n")
    assert max(map(len, wire.split(b"\r\n"))) <= 998
    message = parsed(wire)
    assert not message.defects
    singletons = [name.lower() for name, _ in message.raw_items() if not name.lower().startswith("x-")]
    assert len(set(singletons)) == len(singletons)


@settings(max_examples=60, deadline=None)
@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=200),
    st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=80),
)
def test_hostile_data_reads_back(text: str, name: str) -> None:
    """Whatever data holds stands where it was put and nowhere else, and the signature verifies."""
    message_spec = spec(text="{{ t }}", subject="{{ n }}", from_name="{{ n }}", headers={"X-Ref": "{{ n }}"})
    wire = composed(message_spec, addressee(name=name, data={"t": text, "n": name})).envelope.message.wire
    message = parsed(wire)
    names = ["DKIM-Signature", "From", "To", "Subject", "Date", "Message-ID", "MIME-Version", "Content-Type"]
    names += ["Content-Transfer-Encoding"] if message["Content-Transfer-Encoding"] else []
    assert message.keys() == [*names, "Feedback-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Ref"]
    expected = text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n").encode()
    payload = message.get_payload(decode=True)
    assert payload in (expected, expected + b"\r\n")
    assert dkimpy_accepts(wire, rsa_key())


def test_same_message_at_every_attempt() -> None:
    """Message-ID, Date, boundary, tokens and body are the same in another worker and at another time (I3)."""
    message_spec = spec(**KINDS["unsubscribe"], html="<p>{{ unsubscribe_url }}</p>")
    first = composed(message_spec, worker=job())
    (later,) = compose([group(message_spec)], job(), now=time.time() + 3600)
    assert isinstance(later, Composed)
    wires = [result.envelope.message.wire for result in (first, later)]
    assert wires[0] != wires[1]
    unsigned = [wire[wire.index(b"From: ") :] for wire in wires]
    assert unsigned[0] == unsigned[1]
    assert len({wire.partition(b"bh=")[2].partition(b";")[0] for wire in wires}) == 1
    assert first.envelope.sender == later.envelope.sender
    assert first.envelope.message.message_id == str(ids.message_id(AT, "acme", "p1", "n0"))
    assert first.envelope.message.rfc_message_id == f"<{first.envelope.message.message_id}@acme.test>"


def test_return_path() -> None:
    """L-08: the token of payload, index and recipient; without a token key no token; without a domain the
    sender."""
    token = TokenMint("k2", SECRET).return_path(spec().payload_key, 7, "bob7@example.test")
    assert composed(spec(), addressee(7)).envelope.sender == f"b+{token}@b.acme.test"
    bare = job(signing_keys(tokens=False))
    assert composed(spec(), addressee(7), worker=bare).envelope.sender == "b@b.acme.test"
    assert composed(spec(return_path="")).envelope.sender == "news@acme.test"


def test_results_are_in_order() -> None:
    """Across groups, failures among them, each with its index and id (E10)."""
    people = [addressee(n, data={"name": "x"} if n != 3 else {}) for n in (5, 3, 4)]
    results = compose([group(spec(), *people), group(spec(subject="2", tenant="other"), addressee(9))])
    assert [result.index for result in results] == [5, 3, 4, 9]
    assert [type(result) for result in results] == [Composed, ComposeFailed, Composed, ComposeFailed]
    assert isinstance(results[1], ComposeFailed)
    assert results[1].message_id == str(ids.message_id(AT, "acme", "p1", "n3"))


def test_render_error_is_named() -> None:
    """E9: template, field, line, variable; never another recipient's data."""
    people = [addressee(0, data={"name": "SECRET"}), addressee(1, data={})]
    results = compose([group(spec(text="a\n{{ name }}"), *people)])
    assert isinstance(results[1], ComposeFailed)
    assert (results[1].code, results[1].is_local_fault) == ("template", False)
    assert results[1].detail == "template spring/7, text, line 2: 'name' is undefined"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"text": "{% if %}"}, "template"),
        ({"text": "{{ name }}" + "x" * 300_000}, "template"),
        ({"subject": "{{ name }}{% include 'x' %}"}, "template"),
        ({"text": "{{ name }}\0"}, "content"),
        ({"headers": {"Subject": "x"}}, "header"),
        ({"headers": {"X-A": "{{ '\\n' }}"}}, "header"),
        ({"attachments": (AttachmentPart("a", "nonsense", b""),)}, "attachment"),
        ({"data": b"[1]"}, "data"),
        ({"rfc822": b"nonsense"}, "header"),
        ({"rfc822": RFC822 + b"\0"}, "content"),
        (
            {
                "text": "{% for a in range(99) %}{% for b in range(999) %}xxxxxxxxxxxxxxx{% endfor %}{% endfor %}"
            },
            "too_large",
        ),
    ],
)
def test_failure_codes(changes: dict[str, Any], code: str) -> None:
    """Each kind of fault has its code, and is the message's own."""
    failure = failed(spec(**changes), worker=job(max_message_bytes=1_000_000))
    assert (failure.code, failure.is_local_fault) == (code, False)


@pytest.mark.parametrize(
    "address",
    [
        "bob@x.test>",
        "bob@x.test SIZE=1",
        "<>",
        "a@b@c",
        "bob@x.test\r\nRSET",
        "δ@δ.test",
        "δ\u2028@x.test",
        "δ>@x.test",
    ],
)
def test_bad_recipient(address: str) -> None:
    """Nothing but a bare address gets between the angle brackets."""
    assert failed(spec(), addressee(email=address)).code == "header"


@pytest.mark.parametrize("name", ["", "Zoë"])
def test_a_recipient_beyond_ascii_is_in_to_as_he_is(name: str) -> None:
    """RFC 6532: such an address has no encoded form. The rest of the header stays ASCII, and the signature holds."""
    result = composed(spec(), addressee(email="δοκιμή@xn--strae-oqa.test", name=name))
    wire = result.envelope.message.wire
    assert result.envelope.recipient == "δοκιμή@xn--strae-oqa.test"
    assert result.envelope.sender.isascii()
    odd = [line for line in wire.split(b"\r\n") if not line.isascii()]
    shown = "=?utf-8?B?Wm/Dqw==?= <δοκιμή@xn--strae-oqa.test>" if name else "δοκιμή@xn--strae-oqa.test"
    assert odd == [f"To: {shown}".encode()]
    assert dkimpy_accepts(wire, rsa_key())
    assert not dkimpy_accepts(wire.replace("δοκιμή".encode(), b"dokimi"), rsa_key())


def test_too_large() -> None:
    """The wire counts, fields and all."""
    failure = failed(spec(text="x" * 900), worker=job(max_message_bytes=1000))
    assert failure.code == "too_large"
    assert "1000 are allowed" in failure.detail


# Signing.


def keys_of(*keys: DkimKey) -> SigningKeys:
    return SigningKeys(dkim={("acme", "acme.test"): keys})


@pytest.mark.parametrize(
    "keys",
    [(), (DkimKey("acme.test", "s1", b"nonsense"),), (DkimKey("acme.test", "e1", ed25519_pem()),)],
)
def test_never_unsigned_where_required(keys: tuple[DkimKey, ...]) -> None:
    """A key that is missing, unreadable or of no use alone: our fault, to be tried again (E16)."""
    failure = failed(spec(), worker=job(keys_of(*keys)))
    assert (failure.code, failure.is_local_fault) == ("dkim", True)
    assert "acme.test" in failure.detail


def test_unsigned_where_nothing_is_configured_or_required() -> None:
    """And the message says so."""
    message = composed(spec(require_dkim=False), worker=job(SigningKeys(dkim={}))).envelope.message
    assert message.wire.startswith(b"From: ")
    assert message.dkim_domains == ()


def test_a_broken_key_is_not_passed_over() -> None:
    """Not required, but configured: the operator believes mail is signed."""
    failure = failed(spec(require_dkim=False), worker=job(keys_of(DkimKey("acme.test", "s1", b""))))
    assert failure.is_local_fault


def test_keys_belong_to_a_tenant() -> None:
    """Another tenant's mail from the same domain is not signed with them."""
    assert failed(spec(tenant="other")).code == "dkim"


def test_two_keys_sign() -> None:
    """RSA on top, d= once."""
    worker = job(keys_of(DkimKey("acme.test", "e1", ed25519_pem()), rsa_key()))
    message = composed(spec(), worker=worker).envelope.message
    assert [value.split("a=")[1][:5] for value in parsed(message.wire).get_all("DKIM-Signature", [])] == [
        "rsa-s",
        "ed255",
    ]
    assert message.dkim_domains == ("acme.test",)


def test_canary_stops_a_bad_signature() -> None:
    """A message whose signature does not verify is not handed out. Here dkimpy finds `x=` long past."""
    (result,) = compose([group(spec())], job(), now=1_000_000_000.0)
    assert isinstance(result, ComposeFailed)
    assert (result.code, result.is_local_fault) == ("dkim", True)
    assert "does not verify" in result.detail


def test_one_click_needs_key_and_url() -> None:
    """Else it is our fault."""
    wanted = {"one_click": True, "public_url": "https://m.acme.test"}
    assert failed(spec(**wanted), worker=job(signing_keys(tokens=False))).code == "token"
    assert failed(spec(one_click=True)).is_local_fault
    assert composed(spec(**wanted))


def test_eight_bit_is_marked() -> None:
    """Only a message of the sender's own can be."""
    assert composed(spec(**KINDS["rfc822 eight bit"])).envelope.message.is_eight_bit
    assert not any(
        composed(spec(**changes)).envelope.message.is_eight_bit
        for kind, changes in KINDS.items()
        if kind != "rfc822 eight bit"
    )


def test_tenants_do_not_mix() -> None:
    """E12: equal templates of two tenants, each with its own data and keys."""
    keys = SigningKeys(
        dkim={(tenant, "acme.test"): (rsa_key(selector=tenant),) for tenant in ("acme", "other")},
    )
    worker = job(keys)
    results = compose(
        [group(spec(tenant=tenant, text="{{ payload.tenant }}")) for tenant in ("acme", "other")], worker
    )
    for result, tenant in zip(results, ("acme", "other"), strict=True):
        assert isinstance(result, Composed)
        assert f"s={tenant};".encode() in result.envelope.message.wire
        assert result.envelope.message.wire.endswith(f"\r\n\r\n{tenant}\r\n".encode())


def test_inspection() -> None:
    """Problems, or the variables wanted."""
    worker = job()
    good = Sources({"html": "{{ a }}{{ recipient.id }}", "subject": "{{ b }}"})
    assert msgpack.decode(worker.inspect(msgpack.encode(good)), type=Inspection) == Inspection([], ["a", "b"])
    bad = Sources({"html": "{% if %}", "text": "{{ a }}"})
    found = msgpack.decode(worker.inspect(msgpack.encode(bad)), type=Inspection)
    assert len(found.problems) == 1
    assert found.problems[0].startswith("html, line 1")


def test_l06_our_addresses_are_tokens_and_signed() -> None:
    """Each for its own purpose, of payload, index and recipient; in `h=`, and the signature holds."""
    wanted = spec(advertise=True, own_unsubscribe=True, one_click=True, public_url="https://mail.acme.test")
    message = composed(wanted, addressee(7)).envelope.message
    head = parsed(message.wire)
    reader = TokenReader([TokenKey("k2", SECRET)])
    complaint = reader.address(str(head["CFBL-Address"]).partition("@")[0])
    leave = reader.address(re.findall(r"<mailto:(u\+\w+)@b\.acme\.test>", str(head["List-Unsubscribe"]))[0])
    assert complaint is not None
    assert leave is not None
    assert (complaint.purpose, leave.purpose) == (Purpose.FEEDBACK, Purpose.UNSUBSCRIBE)
    assert {(token.payload_key, token.index) for token in (complaint, leave)} == {(wanted.payload_key, 7)}
    assert reader.is_of(complaint, "bob7@example.test")
    assert head["CFBL-Feedback-ID"] == str(head["CFBL-Address"])[2:59]
    signed = re.sub(r"\s", "", str(head["DKIM-Signature"])).lower()
    covered = re.findall(r";h=([^;]*)", signed)[0].split(":")
    for name in (
        "cfbl-address",
        "cfbl-feedback-id",
        "list-unsubscribe",
        "list-unsubscribe-post",
        "feedback-id",
    ):
        assert name in covered
    assert dkimpy_accepts(message.wire, rsa_key())


def test_l06_what_is_not_signed_asks_for_no_complaints() -> None:
    """RFC 9477 section 3.1: it would be ignored."""
    unsigned = job(SigningKeys({}, (TokenKey("k2", SECRET),)))
    message = composed(spec(advertise=True, require_dkim=False), worker=unsigned).envelope.message
    assert parsed(message.wire)["CFBL-Address"] is None


def test_l01_without_a_token_key_there_is_no_address_of_ours() -> None:
    """Ours to mend, and tried again."""
    assert failed(spec(own_unsubscribe=True), worker=job(signing_keys(tokens=False))).code == "token"
    assert failed(spec(own_unsubscribe=True, return_path="")).code == "token"
