"""Decoded DNS records, and what a question came to when no records came."""

import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

_LONGEST_CHAIN = 16  # CNAMEs in one answer; resolvers themselves stop between 8 and 17
# C ends a name at a NUL, and reads a backslash as the beginning of an escape.
_LABEL = re.compile(r"[!-\[\]-~]{1,63}")

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


def is_askable(name: str) -> bool:
    """Whether DNS can hold the name (RFC 1035 section 2.3.4), and the resolver library takes it as it is."""
    return len(name) <= 253 and all(map(_LABEL.fullmatch, name.split(".")))


def chain_end(name: str, records: Sequence[Record]) -> tuple[str, float] | DnsTrouble:
    """Where the CNAME records lead from `name` (lower case), and the lowest TTL on the way; trouble if that never
    ends."""
    end = name
    targets = {record.owner: record for record in records if record.kind == "CNAME"}
    ttl_s = float("inf")
    for _ in range(_LONGEST_CHAIN):
        record = targets.get(end)
        if record is None:
            return end, ttl_s
        end = record.value
        ttl_s = min(ttl_s, float(record.ttl_s))
    return DnsTrouble("bad_cname", f"the CNAME records of {name} lead in a circle")
