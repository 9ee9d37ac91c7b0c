import base64
from email.message import EmailMessage
from typing import Any

import pytest

from mta.compose.settings import WaysBack
from mta.compose.spec import Addressee, AttachmentPart, Composed, MessageSpec
from mta.flow.specs import check_given, message_spec
from mta.flow.work import PayloadRefused
from mta.intake.admission import Admitted, Rules
from mta.model.payload import Attachment, StoredContent
from tests.unit.compose.builders import compose, group, parsed
from tests.unit.intake.payloads import RULES, judged, people

OFF = WaysBack("https://mta.acme.test")
ON = WaysBack("https://mta.acme.test", advertise=True)


def specified(ways_back: WaysBack = OFF, **changes: Any) -> tuple[Admitted, MessageSpec]:
    admitted = judged(**changes)
    assert isinstance(admitted, Admitted), admitted
    stored = StoredContent(content=admitted.payload.content, attachments=admitted.payload.attachments)
    parts = tuple(map(_part, stored.attachments))
    return admitted, message_spec(admitted, stored, parts, ways_back, True)


def _part(given: Attachment) -> AttachmentPart:
    data = base64.b64decode(given.data or "")
    return AttachmentPart(given.name, given.type, data, given.inline, given.cid or "")


def made(**changes: Any) -> EmailMessage:
    addressee = Addressee(0, "n0", "bob@example.test", data=b'{"first_name":"Bob"}')
    (result,) = compose([group(specified(**changes)[1], addressee)])
    assert isinstance(result, Composed), result
    return parsed(result.envelope.message.wire)


GIVEN = b"From: News <news@acme.test>\r\nTo: list@acme.test\r\nSubject: Mine\r\n\r\nBody\r\n"


def given(raw: bytes) -> dict[str, str]:
    return {"rfc822": base64.b64encode(raw).decode()}


@pytest.mark.parametrize(
    ("head", "changes", "said"),
    [
        (b"X-Ref: 1\r\n", {"headers": {"x-ref": "2"}}, "x-ref"),
        (b"List-Id: <a.b>\r\n", {"unsubscribe": {"list_id": "c.d"}}, "List-Id"),
        (b"List-Unsubscribe-Post: x\r\n", {"unsubscribe": {"one_click": True}}, "List-Unsubscribe-Post"),
        (b"Message-ID: <1@acme.test>\r\n", {"recipients": people(2)}, "Message-ID"),
        (b"From: other@acme.test\r\n", {}, "From"),
        (b"no field\r\n", {}, "header field"),
    ],
)
def test_given_messages_that_are_refused(head: bytes, changes: dict[str, Any], said: str) -> None:
    """As a whole, before they are accepted, and with the name of the field."""
    admitted, spec = specified(content=given(head + GIVEN), **changes)
    with pytest.raises(PayloadRefused) as caught:
        check_given(admitted, spec)
    assert caught.value.rejected.code == "schema"
    assert said in caught.value.rejected.detail


@pytest.mark.parametrize(
    ("head", "changes"),
    [
        (b"", {"recipients": people(2), "headers": {"X-Ref": "2"}}),
        (b"Message-ID: <1@acme.test>\r\n", {}),
        (b"Message-ID: nonsense\r\n", {"recipients": people(2)}),
    ],
)
def test_given_messages_that_are_taken(head: bytes, changes: dict[str, Any]) -> None:
    """An id of their own for one recipient, or none that counts."""
    check_given(*specified(content=given(head + GIVEN), **changes))


LONG = "a" * 127


@pytest.mark.parametrize(
    ("changes", "field", "value"),
    [
        ({"reply_to": [{"email": "h@Straße.test", "name": "H"}]}, "Reply-To", "H <h@xn--strae-oqa.test>"),
        ({"unsubscribe": {"mailto": "u@straße.test"}}, "List-Unsubscribe", "<mailto:u@xn--strae-oqa.test>"),
        ({"unsubscribe": {"mailto": '"a b"@x.test'}}, "List-Unsubscribe", "<mailto:%22a%20b%22@x.test>"),
        ({"unsubscribe": {"mailto": "a&b=%c@x.test"}}, "List-Unsubscribe", "<mailto:a%26b%3D%25c@x.test>"),
        ({"unsubscribe": {"list_id": "liste.straße.test"}}, "List-Id", "<liste.xn--strae-oqa.test>"),
    ],
)
def test_addresses_that_are_admitted_can_be_composed(changes: dict[str, Any], field: str, value: str) -> None:
    """Domains as A-labels, local parts as RFC 6068 section 2 wants them in a URI."""
    assert made(**changes)[field] == value


def test_attachments_that_are_admitted_can_be_composed() -> None:
    """The longest subtype of RFC 6838 and the longest content id."""
    given = {
        "name": "a.bin",
        "type": f"application/{LONG}",
        "data": "AAAA",
        "inline": True,
        "cid": LONG + "a",
    }
    message = made(attachments=[given])
    (part,) = message.iter_attachments()
    assert part.get_content_type() == f"application/{LONG}"
    assert part["Content-ID"] == f"<{LONG}a>"


@pytest.mark.parametrize("engine", ["jinja", "static"])
def test_text_that_is_no_template_may_be_as_long_as_a_message(engine: str) -> None:
    """Only what is compiled is bounded as a template."""
    mark = "{{ x }}" if engine == "static" else "{ x }"
    text = f"{mark} is text\r\n" * 30_000
    message = made(content={"subject": "s", "text": text, "engine": engine})
    assert message.get_content() == text


@pytest.mark.parametrize(
    ("unsubscribe", "stream", "expected"),
    [
        (None, "marketing", True),
        (None, "receipts", False),
        ({"one_click": True}, "receipts", True),
        ({"list_id": "spring.acme.test"}, "receipts", True),
        ({"mailto": "u@acme.test", "one_click": True}, "marketing", False),
    ],
)
def test_l01_an_address_of_ours_where_the_sender_names_none(
    unsubscribe: dict[str, Any] | None, stream: str, expected: bool
) -> None:
    """And only if we say that we answer there."""
    rules = Rules(RULES.tenants, RULES.max_age_s, "https://mta.acme.test", takes_mail=True)
    changes = {"rules": rules, "unsubscribe": unsubscribe, "stream": stream}
    _, spec = specified(ON, **changes)
    assert (spec.advertise, spec.own_unsubscribe) == (True, expected)
    _, spec = specified(OFF, **changes)
    assert (spec.advertise, spec.own_unsubscribe) == (False, False)
