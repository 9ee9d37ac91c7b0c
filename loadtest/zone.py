"""The domains of the load test and the answers about them, built by bytes.

`d<number>.test` are its mail domains. A share of them has a host of its own, `mx.d<number>.test`; the others share
a few, `mx<number>.hosts.test`. Every host has one IPv4 address of the sink. All else does not exist. A question is
read strictly: one, of the Internet, without compression; whatever is not is not answered.
"""

import struct
from collections.abc import Iterator

from msgspec import Struct

from loadtest.sink import host

NAME_ERROR = 3
_KINDS = {1: "A", 15: "MX", 28: "AAAA"}
_HEADER = struct.Struct(">HHHHHH")
_RECORD = struct.Struct(">HHHIH")  # name (a pointer), type, class, TTL, length
_AT_QUESTION = 0xC00C  # a pointer to octet 12, where the question stands (RFC 1035 section 4.1.4)
_TAIL = b"\x04test\x00"


class Zone(Struct, frozen=True):
    """`own_percent` of the domains have a host of their own, the rest share `hosts`; `addresses` stand for all."""

    own_percent: int = 20
    hosts: int = 300
    addresses: int = 250
    ttl_s: int = 3600

    @property
    def options(self) -> list[str]:
        """Of `python -m loadtest.nameserver`."""
        values = {"own-percent": self.own_percent, "hosts": self.hosts, "addresses": self.addresses}
        values["ttl-s"] = self.ttl_s
        return [word for name, value in values.items() for word in (f"--{name}", str(value))]

    def has_own_host(self, number: int) -> bool:
        """Spread evenly over the numbers."""
        return number * self.own_percent % 100 < self.own_percent

    def answer(self, query: bytes) -> tuple[bytes, str, str] | None:
        """(answer, name, type) of a query; None where it is none."""
        try:
            return self._answer(query)
        except (struct.error, IndexError, UnicodeDecodeError):
            return None

    def _answer(self, query: bytes) -> tuple[bytes, str, str] | None:
        number, flags, questions, *_ = _HEADER.unpack_from(query)
        if flags & 0x8000 or questions != 1:
            return None
        labels, end = _labels(query)
        kind, klass = struct.unpack_from(">HH", query, end)
        if klass != 1:
            return None
        records = self._records(labels, kind)
        code = NAME_ERROR if records is None else 0
        head = _HEADER.pack(number, 0x8180 | code, 1, len(records or ()), 0, 0)
        answer = head + query[12 : end + 4] + b"".join(records or ())
        return answer, ".".join(labels), _KINDS.get(kind, str(kind))

    def _records(self, labels: list[str], kind: int) -> list[bytes] | None:
        """None where there is no such name."""
        match labels:
            case [domain, "test"] if (number := _number("d", domain)) is not None:
                return [self._record(15, b"\x00\x0a" + self._exchange(number))] if kind == 15 else []
            case ["mx", domain, "test"] if (number := _number("d", domain)) is not None:
                return [self._record(1, self._address(number))] if kind == 1 else []
            case [name, "hosts", "test"] if (number := _number("mx", name)) is not None:
                return [self._record(1, self._address(number))] if kind == 1 else []
        return None

    def _exchange(self, number: int) -> bytes:
        if self.has_own_host(number):
            return b"\x02mx\xc0\x0c"
        name = b"mx%d" % (number % self.hosts)
        return bytes((len(name),)) + name + b"\x05hosts" + _TAIL

    def _address(self, number: int) -> bytes:
        return bytes(map(int, host(number % self.addresses).split(".")))

    def _record(self, kind: int, data: bytes) -> bytes:
        return _RECORD.pack(_AT_QUESTION, kind, 1, self.ttl_s, len(data)) + data


class Question(Struct, frozen=True, gc=False):
    """A line of the log of the name server: when it came on the monotonic clock, its id, and what was asked."""

    at_ns: int
    number: int
    kind: str
    name: str

    def render(self) -> bytes:
        return f"{self.at_ns}\t{self.number}\t{self.kind}\t{self.name}\n".encode()


def domain_of(number: int) -> str:
    return f"d{number:07d}.test"


def parse(log: bytes) -> Iterator[Question]:
    """A last line without its end was cut off."""
    for line in log[: log.rfind(b"\n") + 1].decode().splitlines():
        at_ns, number, kind, name = line.split("\t", 3)
        yield Question(int(at_ns), int(number), kind, name)


def _labels(query: bytes) -> tuple[list[str], int]:
    """The labels of the name in lower case, and where it ends."""
    labels: list[str] = []
    at = 12
    while length := query[at]:
        if length > 63 or at + length >= len(query):
            raise IndexError("a pointer, or cut off")
        labels.append(query[at + 1 : at + 1 + length].decode("ascii").lower())
        at += 1 + length
    return labels, at + 1


def _number(prefix: str, label: str) -> int | None:
    digits = label.removeprefix(prefix)
    return int(digits) if digits != label and digits.isdecimal() else None
