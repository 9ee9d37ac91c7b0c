import base64
from email.message import EmailMessage
from typing import Any

import pytest

from mta.compose.spec import Addressee, AttachmentPart, Composed, MessageSpec
from mta.flow.specs import message_spec
from mta.intake.admission import Admitted
from mta.model.payload import Attachment, StoredContent
from tests.unit.compose.builders import compose, group, parsed
from tests.unit.intake.payloads import judged


def specified(**changes: Any) -> MessageSpec:
    admitted = judged(**changes)
    assert isinstance(admitted, Admitted), admitted
    stored = StoredContent(content=admitted.payload.content, attachments=admitted.payload.attachments)
    parts = tuple(map(_part, stored.attachments))
    return message_spec(admitted, stored, parts, "https://mta.acme.test", True)


def _part(given: Attachment) -> AttachmentPart:
    data = base64.b64decode(given.data or "")
    return AttachmentPart(given.name, given.type, data, given.inline, given.cid or "")


def made(**changes: Any) -> EmailMessage:
    addressee = Addressee(0, "n0", "bob@example.test", data=b'{"first_name":"Bob"}')
    (result,) = compose([group(specified(**changes), addressee)])
    assert isinstance(result, Composed), result
    return parsed(result.envelope.message.wire)


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
