from mta.jetstream.connection import parse_headers


def test_header_blocks_are_read() -> None:
    """Names and values without the status line; colons in a value stay."""
    raw = b"NATS/1.0\r\nNats-Msg-Id: acme/1\r\nA:b:c\r\nbroken\r\n\r\n"
    assert parse_headers(raw) == {"Nats-Msg-Id": "acme/1", "A": "b:c"}
    assert parse_headers(b"") == {}
