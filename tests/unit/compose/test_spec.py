"""Shapes that cross between the loop and the workers."""

from typing import Any

import pytest

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


@pytest.mark.parametrize(
    ("changes", "is_waived"),
    [
        ({"headers": {"TLS-Required": "No"}}, True),
        ({"headers": {"tls-required": " no "}}, True),
        ({"headers": {"TLS-Required": "Yes"}}, False),
        ({"headers": {"X-TLS-Required": "No"}}, False),
        ({"rfc822": b"From: a@b.test\r\nTLS-Required:  No\r\n\r\nhello\r\n"}, True),
        ({"rfc822": b"From: a@b.test\nTLS-REQUIRED: no\n\nhello\n"}, True),
        ({"rfc822": b"From: a@b.test\r\n\r\nTLS-Required: No\r\n"}, False),
        ({"rfc822": b"From: a@b.test\r\nX: TLS-Required: No\r\n\r\n"}, False),
        ({}, False),
    ],
)
def test_who_waives_tls_is_known_without_opening(changes: dict[str, Any], is_waived: bool) -> None:
    """T-10, RFC 8689 section 3: the header field `TLS-Required: No`, in its place and with that value alone."""
    assert encode_spec(spec(**changes)).waives_tls is is_waived
