"""Questions to DNS and their answers, as the checks see them.

A check is a generator: it yields a `Question`, is sent the `Reply`, and returns what it found. So none of them does
I/O or knows who answers; `mta.admin.preflight.lookup` drives them against real nameservers, tests against a dict.
"""

import re
from collections.abc import Generator, Sequence
from typing import TypeVar

from msgspec import Struct

from mta.dns.record import Record, RecordKind

_LONGEST_CHAIN = 16  # CNAMEs in one answer; resolvers themselves stop between 8 and 17
# C ends a name at a NUL, and reads a backslash as the beginning of an escape.
_LABEL = re.compile(r"[!-\[\]-~]{1,63}")

Found = TypeVar("Found")


class Question(Struct, frozen=True, gc=False):
    name: str
    kind: RecordKind


class Reply(Struct, frozen=True, gc=False):
    """`values` are those of `Record`, MX by preference; without any, `is_missing` means that the name does not exist,
    and `trouble` that nothing is known."""

    values: tuple[str, ...] = ()
    is_missing: bool = False
    trouble: str = ""


Steps = Generator[Question, Reply, Found]


def is_askable(name: str) -> bool:
    """Whether DNS can hold the name (RFC 1035 section 2.3.4), and the resolver library takes it as it is."""
    return len(name) <= 253 and all(map(_LABEL.fullmatch, name.split(".")))


def read(question: Question, records: Sequence[Record]) -> Reply:
    """What an answer holds for who asked: records of the name, or of the end of the CNAME chain that starts there."""
    aliases = {record.owner: record.value for record in records if record.kind == "CNAME"}
    owner = question.name.lower()
    for _ in range(_LONGEST_CHAIN):
        if owner not in aliases:
            break
        owner = aliases[owner]
    else:
        return Reply(trouble=f"the CNAME records of {question.name} lead in a circle")
    meant = [record for record in records if record.kind == question.kind and record.owner == owner]
    meant.sort(key=lambda record: record.preference)
    return Reply(tuple(record.value for record in meant))


def addresses_of(name: str) -> Steps[Reply]:
    """IPv4 and IPv6. Trouble with one of them is told only where the other has nothing."""
    first = yield Question(name, "A")
    if first.is_missing:
        return first
    second = yield Question(name, "AAAA")
    values = first.values + second.values
    return Reply(values) if values else Reply(trouble=first.trouble or second.trouble)
