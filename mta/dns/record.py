"""Decoded DNS records, and what a question came to when no records came."""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

_LONGEST_CHAIN = 16  # CNAMEs in one answer; resolvers themselves stop between 8 and 17

RecordKind = Literal["MX", "CNAME", "A", "AAAA", "TXT", "PTR", "SOA", "TLSA"]
TroubleKind = Literal[
    "servfail",
    "timeout",
    "refused",
    "unreachable",
    "bad_answer",
    "bad_mx",
    "bad_cname",
    "bad_address",
    "closed",
]


class Record(Struct, frozen=True, gc=False):
    """One record of an answer section. `value` is the exchange (a null one is ""), the target, the address, the
    strings of a TXT record joined, the primary server of an SOA, or a TLSA record in presentation form ("3 1 1 0b…").
    Names are lower case without a final dot."""

    owner: str
    kind: RecordKind
    value: str
    ttl_s: int
    preference: int = 0


class Answer(Struct, frozen=True, gc=False):
    """Records, owned by the name asked for, by those its CNAMEs lead to, or by anybody: readers have to look.
    `is_secure`: a resolver that may be believed says that DNSSEC holds for all of it (the AD bit)."""

    records: tuple[Record, ...] = ()
    is_secure: bool = False


class DnsTrouble(Struct, frozen=True, gc=False):
    """Not known now, or not usable as it stands: temporary, and bounced only when the mail expires."""

    kind: TroubleKind
    detail: str


class Absent(Exception):
    """NXDOMAIN (`is_missing`) or NOERROR without data."""

    def __init__(self, is_missing: bool, *, is_secure: bool = False) -> None:
        super().__init__(is_missing)
        self.is_missing = is_missing
        self.is_secure = is_secure


class LookupFailed(Exception):
    """No usable answer to one question."""

    def __init__(self, trouble: DnsTrouble) -> None:
        super().__init__(trouble.detail)
        self.trouble = trouble


def chain_end(name: str, records: Sequence[Record]) -> tuple[str, float] | None:
    """Where the CNAME records lead from `name`, and the lowest TTL on the way; None if that never ends."""
    targets = {record.owner: record for record in records if record.kind == "CNAME"}
    ttl_s = float("inf")
    for _ in range(_LONGEST_CHAIN):
        record = targets.get(name)
        if record is None:
            return name, ttl_s
        name = record.value
        ttl_s = min(ttl_s, float(record.ttl_s))
    return None
