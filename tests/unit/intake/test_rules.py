from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.intake.decode import Refusal
from mta.intake.rules import (
    check_address_name,
    check_attachments,
    check_content,
    check_headers,
    check_person,
    check_tags,
    check_token,
    check_unsubscribe,
    is_clean_text,
)
from mta.model.payload import Attachment, Content, Recipient, Unsubscribe

SEPARATORS = ["\r\n", "\n", "\r", "\x00", "\x0b", "\x0c", "\x1b", "\x1c", "\x1d", "\x1e", "\x7f"]
SEPARATORS += ["\x85", "\x9b", "\u2028", "\u2029", "\u202e", "\u2066", "\ud800", "\t"]
DENIED = """From Date Message-ID Subject To Reply-To Sender Cc In-Reply-To References Received DKIM-Signature
DKIM2-Signature ARC-Seal Return-Path Bcc Content-Type MIME-Version List-Unsubscribe List-Unsubscribe-Post
Feedback-ID CFBL-Address Resent-To Authentication-Results List-Id
Auto-Submitted"""
FILE = {"name": "terms.pdf", "type": "application/pdf", "data": "AAAA"}


@pytest.mark.parametrize("separator", SEPARATORS)
def test_header_injection_by_data(separator: str) -> None:
    """No character that ends or hides a line gets into a header or a name."""
    assert not is_clean_text(f"a{separator}b")
    for check in (
        lambda text: check_headers({"X-A": text}),
        lambda text: check_address_name("from", text),
        lambda text: check_attachments([Attachment(text, "text/plain", "")]),
    ):
        check("ab")
        with pytest.raises(Refusal) as caught:
            check(f"a{separator}b")
        assert caught.value.code == "bad_header"


@given(st.text())
def test_clean_text_has_no_control(text: str) -> None:
    """Whatever is clean is one line to everybody."""
    if is_clean_text(text):
        assert len(text.splitlines()) <= 1
        assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 for c in text)


def test_encoded_words_are_just_text() -> None:
    """They are for the composer to encode again."""
    check_headers({"X-A": "=?utf-8?q?=0D=0ABcc:_evil=40x.test?="})


@pytest.mark.parametrize("name", DENIED.split())
def test_F_01_headers_that_are_not_for_senders(name: str) -> None:
    """In any case."""
    for form in (name, name.lower(), name.upper()):
        with pytest.raises(Refusal) as caught:
            check_headers({form: "x"})
        assert caught.value.code == "bad_header"


@pytest.mark.parametrize("name", ["", " ", "X A", "X:A", "X\r\nBcc", "X-Ä", "X\x7f", "X" * 77])
def test_names_that_are_no_field_names(name: str) -> None:
    """RFC 5322 section 3.6.8."""
    with pytest.raises(Refusal):
        check_headers({name: "x"})


def test_limits_of_headers() -> None:
    """2 kB each in UTF-8, each name once."""
    check_headers({f"X-{n}": "é" * 1000 for n in range(30)})
    for bad in ({"X": "é" * 1000 + "x"}, {"X-A": "1", "x-a": "2"}):
        with pytest.raises(Refusal) as caught:
            check_headers(bad)
        assert caught.value.code == "bad_header"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"subject": "s"},
        {"amp": "x"},
        {"template": {"name": "t"}, "text": "x"},
        {"template": {"name": "t"}, "subject": "x"},
        {"template": {"name": "t"}, "engine": "static"},
        {"template": {"name": "t.x"}},
        {"template": {"name": "t", "version": "*"}},
        {"template": {"name": ""}},
        {"rfc822": "AAAA", "html": "x"},
        {"rfc822": "AAA"},
        {"rfc822": "AA\nAA"},
        {"rfc822": "ÄÄÄÄ"},
    ],
)
def test_content_is_of_one_kind(content: dict[str, Any]) -> None:
    """And nothing stands beside it that would be ignored."""
    with pytest.raises(Refusal) as caught:
        check_content(msgspec.convert(content, Content))
    assert caught.value.code == "schema"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ({"subject": "a\nBcc: b@x.test", "text": "x"}, "bad_header"),
        ({"subject": "a" * 8001, "text": "x"}, "bad_header"),
        ({"subject": "a{b\nc", "text": "x"}, "bad_header"),
        ({"subject": "{{ a }}\nc", "text": "x", "engine": "static"}, "bad_header"),
        ({"text": "a\0b"}, "schema"),
        ({"text": "a", "html": "{{ x }}\0"}, "schema"),
    ],
)
def test_texts_that_no_message_can_hold(content: dict[str, Any], code: str) -> None:
    """Every recipient would fail: said once and at once."""
    with pytest.raises(Refusal) as caught:
        check_content(msgspec.convert(content, Content))
    assert caught.value.code == code


def test_texts_that_a_message_can_hold() -> None:
    """White space around a subject is not kept, and that within a template is its layout."""
    for subject in ("Hello\n", "{% if x -%}\n{{ x }}\n{%- endif %}", "\u202bשלום\u202c"):
        check_content(Content(subject=subject, text="a\tb\x0c\n"))


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"data": None}, "schema"),
        ({"ref": "obj://a"}, "schema"),
        ({"data": None, "ref": "file:///etc/passwd"}, "schema"),
        ({"data": None, "ref": "obj://../x y"}, "schema"),
        ({"data": "AAA"}, "schema"),
        ({"data": "A" * 512_004}, "too_large"),
        ({"inline": True}, "schema"),
        ({"cid": "logo"}, "schema"),
        ({"inline": True, "cid": "a>b"}, "schema"),
        ({"name": ""}, "schema"),
        ({"name": "../x.pdf"}, "schema"),
        ({"name": "x" * 256}, "schema"),
        ({"name": "invoice.EXE"}, "attachment_type"),
        ({"name": "invoice.exe. "}, "attachment_type"),
        ({"type": "application/x-msdownload"}, "attachment_type"),
        ({"type": "multipart/mixed"}, "attachment_type"),
        ({"type": "message/rfc822"}, "attachment_type"),
        ({"type": "text/plain; charset=utf-8"}, "attachment_type"),
        ({"type": "pdf"}, "attachment_type"),
    ],
)
def test_attachments_that_are_refused(change: dict[str, Any], code: str) -> None:
    """Each rule of the row, on an attachment that is good otherwise."""
    good = [msgspec.convert(FILE | {"name": str(n)}, Attachment) for n in range(2)]
    check_attachments(good)
    with pytest.raises(Refusal) as caught:
        check_attachments([*good, msgspec.convert(FILE | change, Attachment)])
    assert caught.value.code == code


def test_attachments_that_are_good() -> None:
    """Inline with its id, by reference, empty, with a quote in the name, 512 kB in all."""
    check_attachments(
        [
            Attachment("logo.png", "image/png", "", inline=True, cid="logo@acme.test"),
            Attachment('a "b".pdf', "application/pdf", None, "obj://attachments/terms-2026.pdf"),
            Attachment("Übersicht.txt", "text/plain", "A" * 512_000),
        ]
    )


@pytest.mark.parametrize(
    ("unsubscribe", "stream", "code"),
    [
        (None, "marketing", "unsubscribe_required"),
        ({"list_id": "x.acme.test"}, "marketing", "unsubscribe_required"),
        ({"mailto": "unsub"}, "receipts", "bad_address"),
        ({"mailto": "u@acme.test?subject=x"}, "receipts", "bad_address"),
        ({"mailto": "u@acme.test", "list_id": "a b"}, "receipts", "schema"),
        ({"mailto": "u@acme.test", "list_id": "a>\r\nBcc: x"}, "receipts", "schema"),
    ],
)
def test_L_01_unsubscribe(unsubscribe: dict[str, Any] | None, stream: str, code: str) -> None:
    """Marketing needs a way out; what is written into a header has the form for it."""
    with pytest.raises(Refusal) as caught:
        check_unsubscribe(msgspec.convert(unsubscribe, Unsubscribe | None), stream, takes_mail=False)
    assert caught.value.code == code


def test_unsubscribe_where_it_is_not_needed() -> None:
    """Other mail may have it or not."""
    check_unsubscribe(None, "receipts", takes_mail=False)
    check_unsubscribe(
        Unsubscribe(mailto="u@acme.test", list_id="spring.acme.test"), "marketing", takes_mail=False
    )
    check_unsubscribe(Unsubscribe(one_click=True), "marketing", takes_mail=False)


def test_l01_an_address_of_ours_is_a_way_out() -> None:
    """Where we take mail, marketing needs to name nothing; what it names is checked all the same."""
    check_unsubscribe(None, "marketing", takes_mail=True)
    check_unsubscribe(Unsubscribe(list_id="spring.acme.test"), "marketing", takes_mail=True)
    with pytest.raises(Refusal):
        check_unsubscribe(Unsubscribe(mailto="nobody"), "marketing", takes_mail=True)


def test_tokens() -> None:
    """One to 64 characters that need no escape in a subject."""
    check_token("pool", "a-z_0")
    for bad in ("", "A", "a.b", "a" * 65, "=41"):
        with pytest.raises(Refusal):
            check_token("pool", bad)


def test_tags_are_counted_in_bytes_and_together() -> None:
    """An event echoes those of the payload and of the recipient: 2 kB and ten in all."""
    check_tags(["é" * 1000])
    check_person(Recipient("a@b.test", tags=("x" * 1000,)), ("y" * 1000,), 0)
    with pytest.raises(Refusal) as caught:
        check_tags(["é" * 1001])
    assert caught.value.code == "too_large"
    with pytest.raises(Refusal) as caught:
        check_person(Recipient("a@b.test", tags=("x" * 1001,)), ("y" * 1000,), 0)
    assert caught.value.code == "too_large"


def test_media_types_have_no_case() -> None:
    """RFC 2045 section 5.1."""
    check_attachments([Attachment("a", "Image/PNG", "")])
    with pytest.raises(Refusal):
        check_attachments([Attachment("a", "Application/X-MSDownload", "")])
