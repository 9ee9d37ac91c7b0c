"""Composed mail, ready for the wire."""

from msgspec import Struct


class Message(Struct, frozen=True, gc=False):
    """Composed, signed bytes. `wire` has CRLF line ends only, ends with CRLF and is not dot-stuffed; its length is the
    size announced by SIZE=. `message_id` is the UUIDv7 of the event contract, `rfc_message_id` the header value with
    its angle brackets, `dkim_domains` the d= used."""

    wire: bytes
    message_id: str
    rfc_message_id: str
    dkim_domains: tuple[str, ...] = ()
    is_eight_bit: bool = False


class Envelope(Struct, frozen=True, gc=False):
    """Return path, one recipient, message. `sender` and `recipient` are bare addresses as they stand between the
    angle brackets on the wire (A-labels, validated); `sender` may be empty (null reverse-path). Where the local part of
    `recipient` is beyond ASCII, so is To in `wire`."""

    sender: str
    recipient: str
    message: Message
