"""Fields in order, by lane and by what was asked; what a message of the sender's own becomes."""

import re
from typing import Any

import pytest

from mta.compose.header import HeaderRefused
from mta.compose.message import DataRefused, Links, Prepared, build, feedback_id, parse_data
from mta.compose.spec import AttachmentPart
from mta.compose.template import Engine, TemplateFailed
from mta.model import ids
from mta.model.lane import Lane
from mta.model.payload import Address
from tests.unit.compose.builders import AT, addressee, parsed, spec

MAILTO = "mailto:u+k2token@b.acme.test"
URL = "https://mail.acme.test/o/k2token"


def made(links: str | Links = "", person: Any = None, max_bytes: int = 1_000_000, **changes: Any) -> Any:
    person = person or addressee()
    message_spec = spec(**changes)
    prepared = Prepared(message_spec, Engine(256_000), max_bytes)
    message_id = str(ids.message_id(AT, "acme", "p1", person.key))
    unsigned = build(prepared, person, message_id, Links(links) if isinstance(links, str) else links)
    head = "".join(f"{name}: {value}\r\n" for name, value in unsigned.fields)
    return parsed(head.encode("ascii") + b"\r\n" + unsigned.body)


def test_fields_in_order() -> None:
    """A snapshot of a bulk message with everything."""
    message = made(
        URL,
        from_name="Acme",
        reply_to=(Address("help@acme.test", "{{ shop }}"), Address("b@acme.test")),
        headers={"X-Ref": "{{ ref }}", "Precedence": "bulk"},
        html="<p>{{ name }}</p>",
        data=b'{"shop": "Berlin", "ref": "global"}',
        person=addressee(name="Bob Miller", data={"name": "Bob", "ref": "r1"}),
        one_click=True,
        unsubscribe_mailto="unsub@acme.test",
        list_id="spring.acme.test",
    )
    assert [(name, str(value).replace("\r\n", "")) for name, value in message.raw_items()] == [
        ("From", "Acme <news@acme.test>"),
        ("To", "Bob Miller <bob0@example.test>"),
        ("Subject", "Hello"),
        ("Date", "Wed, 18 Nov 2026 11:06:40 +0000"),
        ("Message-ID", f"<{ids.message_id(AT, 'acme', 'p1', 'n0')}@acme.test>"),
        ("Reply-To", "Berlin <help@acme.test>, b@acme.test"),
        ("MIME-Version", "1.0"),
        (
            "Content-Type",
            f'multipart/alternative; boundary="=_a{ids.message_id(AT, "acme", "p1", "n0").hex}"',
        ),
        ("List-Unsubscribe", f"<{URL}>, <mailto:unsub@acme.test>"),
        ("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"),
        ("List-Id", "<spring.acme.test>"),
        ("Feedback-ID", "spring:acme:bulk:mtamail"),
        ("X-Auto-Response-Suppress", "OOF, AutoReply"),
        ("X-Ref", "r1"),
        ("Precedence", "bulk"),
    ]


@pytest.mark.parametrize(
    ("lane", "changes", "is_auto"),
    [
        (Lane.TRANSACTIONAL, {}, True),
        (Lane.TRANSACTIONAL, {"list_id": "x.acme.test"}, True),
        (Lane.BULK, {}, True),
        (Lane.BULK, {"list_id": "x.acme.test"}, False),
        (Lane.BULK, {"unsubscribe_mailto": "u@acme.test"}, False),
    ],
)
def test_auto_submitted_by_lane(lane: Lane, changes: dict[str, str], is_auto: bool) -> None:
    """F-10: notifications say so; list mail says it is list mail."""
    assert (made(lane=lane, **changes)["Auto-Submitted"] == "auto-generated") is is_auto


def test_no_unsubscribe_unless_asked() -> None:
    """Neither header, and a template that wants the link fails rather than link nowhere."""
    message = made()
    assert message["List-Unsubscribe"] is None
    assert message["List-Unsubscribe-Post"] is None
    with pytest.raises(TemplateFailed, match="'unsubscribe_url' is undefined"):
        made(text="{{ unsubscribe_url }}", data=b'{"unsubscribe_url": "https://evil.test"}')


def test_mailto_alone_has_no_post() -> None:
    """RFC 8058 needs https (L-02)."""
    message = made(unsubscribe_mailto="u@acme.test", text="{{ unsubscribe_url }}")
    assert message["List-Unsubscribe"] == "<mailto:u@acme.test>"
    assert message["List-Unsubscribe-Post"] is None
    assert message.get_content().strip() == "mailto:u@acme.test"


def test_context() -> None:
    """Recipient over payload, reserved names over both."""
    text = "{{ a }} {{ b }} {{ recipient.email }} {{ recipient.name }} {{ recipient.id }} {{ payload.id }}"
    text += " {{ payload.tenant }} {{ payload.campaign }} {{ unsubscribe_url }}"
    message = made(
        URL,
        text=text,
        data=b'{"a": 1, "b": 1, "payload": 1, "recipient": 2}',
        person=addressee(
            name="Bob", recipient_id="c9", data={"b": 2, "recipient": 3, "payload": 4, "unsubscribe_url": "x"}
        ),
        one_click=True,
    )
    assert message.get_content().strip() == f"1 2 bob0@example.test Bob c9 p1 acme spring {URL}"


def test_global_data_is_not_shared_by_change() -> None:
    """What one message makes of global data is not seen by the next."""
    message_spec = spec(text="{% set data = dict(x=1) %}{% set b = 5 %}{{ b }}{{ a }}", data=b'{"a": [1]}')
    prepared = Prepared(message_spec, Engine(256_000), 1000)
    before = dict(prepared.variables)
    build(prepared, addressee(), str(ids.message_id(AT, "acme", "p1", "n0")), Links())
    assert prepared.variables == before


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"1", b"{", b"NaN", b'{"a": NaN}', b'{"a": "\\ud800"}', b'{"a":' * 3000, b"\xff"]
)
def test_bad_data(raw: bytes) -> None:
    """E1: no JSON object, no message."""
    with pytest.raises(DataRefused):
        parse_data(raw)


@pytest.mark.parametrize(
    "name",
    [
        "From", "to", "SUBJECT", "Date", "Message-Id", "Cc", "Bcc", "Sender", "Reply-To", "References", "In-Reply-To",
        "Received", "Return-Path", "DKIM-Signature", "ARC-Seal", "Content-Type", "MIME-Version", "List-Unsubscribe",
        "List-Unsubscribe-Post", "Feedback-ID", "CFBL-Address", "Resent-To", "X-A:b", "X A", "X-Ä", "", "X-A\r\nBcc",
    ],
)  # fmt: skip
def test_names_not_for_senders(name: str) -> None:
    """The deny list once more at the last gate (F-01, F-09)."""
    with pytest.raises(HeaderRefused):
        made(headers={name: "x"})


@pytest.mark.parametrize(
    "separator", ["\r", "\n", "\r\n", "\0", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029"]
)
@pytest.mark.parametrize("field", ["subject", "from_name", "headers", "reply_to", "name"])
def test_injection_by_data(separator: str, field: str) -> None:
    """F-06: every templated field refuses what would end its line."""
    hostile = f"x{separator}Bcc: evil@x.test"
    changes: dict[str, Any] = {
        "subject": {"subject": "{{ v }}"},
        "from_name": {"from_name": "{{ v }}"},
        "headers": {"headers": {"X-Ref": "{{ v }}"}},
        "reply_to": {"reply_to": (Address("a@acme.test", "{{ v }}"),)},
        "name": {},
    }[field]
    person = addressee(data={"v": hostile, "name": ""}, name=hostile if field == "name" else "")
    with pytest.raises(HeaderRefused, match="not allowed"):
        made(person=person, **changes)


def test_white_space_around_a_field_template() -> None:
    """The author's final line end is not content; data's is refused."""
    assert made(subject="  Hi {{ name }}\n")["Subject"] == "Hi Bob 0"
    with pytest.raises(HeaderRefused):
        made(subject="{{ name }}", person=addressee(data={"name": "Bob\n"}))


@pytest.mark.parametrize(
    "address", ["<bob@x.test>", "bob@x.test\r\nBcc: e@x.test", "a@b@c.test", "bob@straße.test"]
)
def test_shown_address_is_checked(address: str) -> None:
    """Header and envelope come from one parser."""
    with pytest.raises(HeaderRefused):
        made(person=addressee(header_email=address))


@pytest.mark.parametrize(
    "changes",
    [
        {"from_email": "a@b@acme.test"},
        {"from_email": "a@acme.test>"},
        {"reply_to": (Address("a@acme.test\n"),)},
        {"list_id": "a b"},
        {"list_id": "x>\r\nBcc: e@x.test"},
        {"return_path": "b.acme.test\r\n"},
        {"unsubscribe_mailto": "u@acme.test>, <mailto:e@x.test"},
    ],
)
def test_bad_addresses_of_the_spec(changes: dict[str, Any]) -> None:
    """Every one that stands in a header."""
    with pytest.raises(HeaderRefused):
        made(**changes)


@pytest.mark.parametrize("control", ["\u202e", "\u2066"])
def test_F_12_a_rendered_name_reads_one_way(control: str) -> None:
    """What admission refuses in a name does not come in by data either."""
    person = addressee(data={"name": f"A{control}B"})
    for changes in ({"from_name": "{{ name }}"}, {"reply_to": (Address("a@acme.test", "{{ name }}"),)}):
        with pytest.raises(HeaderRefused, match="bidi"):
            made(person=person, **changes)


def test_feedback_id() -> None:
    """L-05: four fields from the right, letters and digits, none twice, none long."""
    for changes in (
        {},
        {"campaign": ""},
        {"campaign": "acme"},
        {"campaign": "bulk", "tenant": "a-b"},
        {"campaign": "x" * 64},
    ):
        identifiers = feedback_id(spec(**changes)).split(":")
        assert len(set(identifiers)) == len(identifiers) == 4
        assert all(re.fullmatch("[A-Za-z0-9]{1,15}", identifier) for identifier in identifiers)
        assert 5 <= len(identifiers[-1]) <= 15
    for campaign in ("mtamail", "bulk", "acme", "none", ""):
        assert feedback_id(spec(campaign=campaign)).split(":")[1:] == ["acme", "bulk", "mtamail"]
    assert feedback_id(spec(tenant="mtamail")).endswith(":bulk:mtamail")
    assert feedback_id(spec()) == feedback_id(spec(payload_id="p2"))


def test_body_without_final_line_end() -> None:
    """The last line gets one; an empty body stays empty."""
    assert made(text="a").get_payload() == "a\r\n"
    assert made(text="").get_payload() == ""
    assert made(text=None).get_content_type() == "text/plain"


def test_attachments() -> None:
    """Templated parts inside, attachments as they are."""
    parts = (
        AttachmentPart("{{ name }}.pdf", "application/pdf", b"{{ name }}"),
        AttachmentPart("l.png", "image/png", b"1", True, "l@x"),
    )
    message = made(html="<img src='cid:l@x'>", text=None, attachments=parts)
    kinds = [part.get_content_type() for part in message.walk()]
    assert kinds == ["multipart/mixed", "multipart/related", "text/html", "image/png", "application/pdf"]
    assert [part.get_payload(decode=True) for part in message.iter_attachments()] == [b"{{ name }}"]


def test_body_limit() -> None:
    """What attachments and encoding add counts too."""
    with pytest.raises(TemplateFailed) as failure:
        made(max_bytes=1000, attachments=(AttachmentPart("a", "text/csv", b"x" * 900),))
    assert failure.value.code == "too_large"


GIVEN = b"From: News <news@acme.test>\r\nTo: list@acme.test\r\nSubject: Mine\r\n\r\nBody {{ name }}\r\n"


def test_given_message_gets_what_it_lacks() -> None:
    """Date, Message-ID, MIME-Version and our own fields on top; its own stay, and nothing in it is a
    template."""
    message = made(rfc822=GIVEN, headers={"X-Ref": "{{ name }}"})
    assert message.keys() == [
        "Date", "Message-ID", "MIME-Version", "Feedback-ID", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Ref",
        "From", "To", "Subject",
    ]  # fmt: skip
    assert message.get_payload() == "Body {{ name }}\r\n"
    assert message["X-Ref"] == "Bob 0"


def test_F_01_given_message_gets_whom_it_is_for() -> None:
    """Where it says nobody; and a Subject, which may be empty."""
    for head in (b"", b"To: \r\n"):
        message = made(rfc822=head + b"From: news@acme.test\r\nMessage-ID: x\r\nDate: x\r\n")
        assert message["To"] == "bob0@example.test"
        assert (message["Subject"], message.get_payload()) == ("", "")
        assert message["Message-ID"].endswith("@acme.test>")
        assert message["Date"].endswith("+0000")
        lower = [name.lower() for name in message.keys()]  # noqa: SIM118
        assert len(set(lower)) == len(lower)


def test_what_a_sender_tells_exchange_wins() -> None:
    """Given twice the field would be read in two ways."""
    assert made(headers={"x-auto-response-suppress": "All"}).get_all("X-Auto-Response-Suppress") == ["All"]
    assert made().get_all("X-Auto-Response-Suppress") == ["OOF, AutoReply"]


def test_given_message_keeps_its_own() -> None:
    """No field twice (F-01)."""
    own = b"Date: Mon, 02 Nov 2026 00:00:00 +0100\r\nMessage-ID: <1@acme.test>\r\n"
    own += b"Auto-Submitted: no\r\nMime-version: 1.0\r\n"
    message = made(rfc822=own + GIVEN)
    lower = [name.lower() for name in message.keys()]  # noqa: SIM118
    assert len(set(lower)) == len(lower)
    assert message["Message-ID"] == "<1@acme.test>"
    assert message["Auto-Submitted"] == "no"


def test_given_message_with_another_unsubscribe() -> None:
    """Refused, not ignored: only one of the two could hold."""
    raw = b"List-Unsubscribe: <https://other.test/>\r\n" + GIVEN
    assert made(rfc822=raw)["List-Unsubscribe"] == "<https://other.test/>"
    with pytest.raises(HeaderRefused, match="asks for another"):
        made(URL, rfc822=raw, one_click=True)


MATRIX = [
    # lane, what the payload asks for, links -> List-Unsubscribe, -Post, List-Id, Auto-Submitted
    (Lane.TRANSACTIONAL, {}, Links(), None, False, None, True),
    (Lane.BULK, {}, Links(), None, False, None, True),
    (Lane.BULK, {"unsubscribe_mailto": "u@acme.test"}, Links(), "<mailto:u@acme.test>", False, None, False),
    (
        Lane.TRANSACTIONAL,
        {"unsubscribe_mailto": "u@acme.test"},
        Links(),
        "<mailto:u@acme.test>",
        False,
        None,
        True,
    ),
    (Lane.BULK, {"one_click": True}, Links(URL), f"<{URL}>", True, None, False),
    (
        *(Lane.BULK, {"one_click": True, "unsubscribe_mailto": "u@acme.test"}, Links(URL)),
        *(f"<{URL}>, <mailto:u@acme.test>", True, None, False),
    ),
    (Lane.BULK, {"own_unsubscribe": True}, Links("", MAILTO), f"<{MAILTO}>", False, None, False),
    (
        *(Lane.BULK, {"one_click": True, "own_unsubscribe": True}, Links(URL, MAILTO)),
        *(f"<{URL}>, <{MAILTO}>", True, None, False),
    ),
    (Lane.BULK, {"list_id": "a.acme.test"}, Links(), None, False, "<a.acme.test>", False),
    (
        *(Lane.TRANSACTIONAL, {"list_id": "a.acme.test", "own_unsubscribe": True}, Links("", MAILTO)),
        *(f"<{MAILTO}>", False, "<a.acme.test>", True),
    ),
]


@pytest.mark.parametrize("stream", ["", "marketing", "receipts"])
@pytest.mark.parametrize(("lane", "asked", "links", "unsubscribe", "is_post", "list_id", "is_auto"), MATRIX)
def test_the_header_matrix(
    stream: str,
    lane: Lane,
    asked: dict[str, Any],
    links: Links,
    unsubscribe: str | None,
    is_post: bool,
    list_id: str | None,
    is_auto: bool,
) -> None:
    """L-01, L-02, L-04, L-05, F-10: by lane and by what was asked for, whatever the stream is called. One-click only
    with its own field beside it; one Feedback-ID in each; what is no list mail says that a machine wrote it."""
    message = made(links, lane=lane, stream=stream, **asked)
    assert message["List-Unsubscribe"] == unsubscribe
    assert message["List-Unsubscribe-Post"] == ("List-Unsubscribe=One-Click" if is_post else None)
    assert message["List-Id"] == list_id
    assert message["Auto-Submitted"] == ("auto-generated" if is_auto else None)
    assert message.get_all("Feedback-ID") == [
        f"spring:acme:{lane}:mtamail" if lane is Lane.BULK else message["Feedback-ID"]
    ]
    assert message["X-Auto-Response-Suppress"] == "OOF, AutoReply"
    assert (message["CFBL-Address"], message["Precedence"]) == (None, None)


def test_where_complaints_go() -> None:
    """L-06, RFC 9477 section 3: the address with its format, and the token once more by itself."""
    message = made(Links(feedback="k2token"))
    assert message["CFBL-Address"] == "f+k2token@b.acme.test; report=arf"
    assert message["CFBL-Feedback-ID"] == "k2token"


@pytest.mark.parametrize(
    ("return_path", "from_domain", "takes"),
    [
        ("b.acme.test", "acme.test", True),
        ("acme.test", "acme.test", True),
        ("acme.test", "news.acme.test", True),
        ("b.acme.test", "news.acme.test", False),
        ("bacme.test", "acme.test", False),
        ("b.other.test", "acme.test", False),
        ("", "acme.test", False),
    ],
)
def test_l06_only_an_address_that_belongs_to_from(return_path: str, from_domain: str, takes: bool) -> None:
    """RFC 9477 section 3.1: another domain would have to sign as well."""
    changes = {"return_path": return_path, "from_domain": from_domain, "from_email": f"n@{from_domain}"}
    assert Prepared(spec(advertise=True, **changes), Engine(256_000), 1_000_000).takes_feedback is takes
    assert not Prepared(spec(**changes), Engine(256_000), 1_000_000).takes_feedback


def test_the_body_has_the_way_out_of_the_header() -> None:
    """L-09: one-click first, else by mail to us."""
    text = "{{ unsubscribe_url }}"
    assert made(Links(URL, MAILTO), text=text).get_content().strip() == URL
    assert made(Links("", MAILTO), text=text).get_content().strip() == MAILTO
