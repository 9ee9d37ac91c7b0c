import pytest

from mta.jetstream.answers import is_forbidden, nobody, parse_headers
from mta.jetstream.errors import JetStreamUnavailable, NobodyThere, WithoutJetStream


def test_header_blocks_are_read() -> None:
    """Names and values without the status line; colons in a value stay."""
    raw = b"NATS/1.0\r\nNats-Msg-Id: acme/1\r\nA:b:c\r\nbroken\r\n\r\n"
    assert parse_headers(raw) == {"Nats-Msg-Id": "acme/1", "A": "b:c"}
    assert parse_headers(b"") == {}


def test_a_complaint_names_its_subject() -> None:
    """In lower case, and the whole of it."""
    text = 'nats: permissions violation for publish to "$js.api.stream.info.mta"'
    assert is_forbidden("$JS.API.STREAM.INFO.MTA", text)
    assert not is_forbidden("$JS.API.STREAM.INFO", text)
    assert not is_forbidden("$JS.API.STREAM.INFO.MTA", text.replace("publish", "subscription"))


@pytest.mark.parametrize(
    ("subject", "kind"),
    [
        ("$JS.API.STREAM.INFO.MTA_PAYLOADS", WithoutJetStream),
        ("$JS.API.DIRECT.GET.KV_MTA_TEMPLATES", NobodyThere),
        ("mta.payload.bulk.acme._", NobodyThere),
    ],
)
def test_silence_has_its_meaning(subject: str, kind: type[JetStreamUnavailable]) -> None:
    """A server without JetStream, or a stream that is missing."""
    assert type(nobody(subject)) is kind
