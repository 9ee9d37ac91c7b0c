"""What MTA_INDEX keeps of a payload: whose it was, and who was mailed. A token in a report is resolved through it."""

import msgspec
from msgspec import Struct


class IndexEntry(Struct, frozen=True, omit_defaults=True):
    """`source_stream` and `source_sequence` name the message that was accepted under this payload id. `recipients` are
    by place in the payload: addresses, their hashes, or nothing (`form`); `ids` the sender's own, empty where nobody
    has one."""

    v: int
    tenant: str
    payload_id: str
    source_stream: str
    source_sequence: int
    accepted_at: str
    campaign: str = ""
    stream: str = ""
    lane: str = ""
    from_domain: str = ""
    form: str = "full"
    recipients: tuple[str, ...] = ()
    ids: tuple[str, ...] = ()

    def is_of(self, stream: str, sequence: int) -> bool:
        """Whether it was written for this very source message."""
        return (self.source_stream, self.source_sequence) == (stream, sequence)


_DECODER = msgspec.json.Decoder(IndexEntry)


def decode(body: bytes) -> IndexEntry:
    return _DECODER.decode(body)
