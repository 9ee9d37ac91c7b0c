"""What MTA_INDEX keeps of a payload: whose it was, and who was mailed. A token in a report is resolved through it."""

import msgspec
from msgspec import Struct


class IndexEntry(Struct, frozen=True, omit_defaults=True):
    """What is kept of one payload."""

    v: int
    """Version of this contract."""
    tenant: str
    payload_id: str
    """The sender's, or one made for it."""
    source_stream: str
    """The stream in which the message lay that was accepted under this id."""
    source_sequence: int
    """Its place there."""
    accepted_at: str
    campaign: str = ""
    """As in the payload."""
    stream: str = ""
    """The kind of mail, as in the payload."""
    lane: str = ""
    from_domain: str = ""
    """The domain in the `From` header."""
    form: str = "full"
    """What `recipients` holds: addresses, their keyed hashes, or nothing."""
    recipients: tuple[str, ...] = ()
    """By place in the payload; empty where one was refused."""
    ids: tuple[str, ...] = ()
    """The sender's own, by place in the payload; left out where nobody has one."""

    def is_of(self, stream: str, sequence: int) -> bool:
        """Whether it was written for this very source message."""
        return (self.source_stream, self.source_sequence) == (stream, sequence)


_DECODER = msgspec.json.Decoder(IndexEntry)


def decode(body: bytes) -> IndexEntry:
    return _DECODER.decode(body)
