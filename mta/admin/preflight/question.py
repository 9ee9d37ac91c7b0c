"""Questions to DNS and their answers, as the checks see them.

A check is a generator: it yields a `Question`, is sent the `Reply`, and returns what it found. So none of them does
I/O or knows who answers; `mta.admin.preflight.lookup` drives them against real nameservers, tests against a dict.
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

from msgspec import Struct

from mta.dns.record import DnsTrouble, Record, RecordKind, chain_end

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


def read(question: Question, records: Sequence[Record]) -> Reply:
    """What an answer holds for who asked: records of the name, or of the end of the CNAME chain that starts there."""
    end = chain_end(question.name.lower(), records)
    if isinstance(end, DnsTrouble):
        return Reply(trouble=end.detail)
    meant = [record for record in records if record.kind == question.kind and record.owner == end[0]]
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
