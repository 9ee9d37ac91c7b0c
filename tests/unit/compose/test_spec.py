"""Shapes that cross between the loop and the workers."""

from mta.compose.spec import (
    AttachmentPart,
    decode_chunk,
    decode_spec,
    encode_chunk,
    encode_spec,
)
from mta.model.payload import Address
from tests.unit.compose.builders import addressee, group, spec


def test_spec_survives_the_trip() -> None:
    """Every field, bytes and nested shapes included."""
    given = spec(
        reply_to=(Address("help@acme.test", "Help"),),
        rfc822=b"\xff\x00",
        headers={"X-B": "1", "X-A": "2"},
        attachments=(AttachmentPart("a", "text/plain", b"\xff", True, "c@x"),),
        html="ä",
        one_click=True,
    )
    assert decode_spec(encode_spec(given).blob) == given


def test_key_is_of_content_and_tenant() -> None:
    """Equal specs share a key; another tenant's never does (E12)."""
    assert encode_spec(spec()).key == encode_spec(spec()).key
    assert encode_spec(spec(tenant="other")).key != encode_spec(spec()).key


def test_chunk_survives_the_trip() -> None:
    """Groups and people in their order."""
    groups = (group(spec(), addressee(3), addressee(1)), group(spec(text="x"), addressee(2)))
    chunk = decode_chunk(encode_chunk(groups, 5.0))
    assert (chunk.now, chunk.groups) == (5.0, groups)
