"""DNS messages as octets (RFC 1035 section 4): one question out, the records of its answer in.

Its own reader of records, because dnspython refuses a whole answer for one odd TLSA record, while RFC 7671 wants just
that record passed over. Names are dnspython's work.
"""

import struct
from ipaddress import IPv4Address, IPv6Address

from dns.exception import DNSException
from dns.name import from_wire_parser
from dns.wire import Parser
from msgspec import Struct

from mta.dns.record import Record, RecordKind

NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
_MOST_RECORDS = 2000  # in one answer: 30 ms of work
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_IN = 1
_RESPONSE, _TRUNCATED, _RECURSE, _AUTHENTIC = 0x8000, 0x0200, 0x0100, 0x0020
_OPCODE, _RCODE = 0x7800, 0x000F
_EDNS_BYTES = 4096  # the interface is loopback, where nothing is cut into fragments
# RFC 6891 section 6.1.2: no name, type OPT, the size, then RFC 3225's DO bit, and no options.
_OPT = struct.pack("!BHHIH", 0, 41, _EDNS_BYTES, 0x8000, 0)
_LONGEST_TTL = 0x7FFFFFFF  # RFC 2181 section 8: what is above means 0
_NUMBERS: dict[RecordKind, int] = {
    "A": 1,
    "CNAME": 5,
    "SOA": 6,
    "PTR": 12,
    "MX": 15,
    "TXT": 16,
    "AAAA": 28,
    "TLSA": 52,
}
_KINDS = {number: kind for kind, number in _NUMBERS.items()}


class Reply(Struct, frozen=True, gc=False):
    """`is_secure` is the AD bit. A truncated one is to be asked for again, over TCP."""

    rcode: int
    is_truncated: bool
    is_secure: bool
    records: tuple[Record, ...]


def question(name: str, kind: RecordKind) -> bytes:
    """The question section. ValueError where `name` is none: not ASCII, a label of 0 or more than 63 octets, more than
    253 in all."""
    labels = name.encode("ascii").split(b".")
    if len(name) > 253 or not all(0 < len(label) < 64 for label in labels):
        raise ValueError("is no domain name")
    encoded = b"".join(bytes((len(label),)) + label for label in labels)
    return encoded + struct.pack("!BHH", 0, _NUMBERS[kind], _IN)


def query(number: int, asked: bytes) -> bytes:
    """A message that asks for recursion and for the word of DNSSEC (RFC 6840 section 5.7), numbered 0 to 65535."""
    return _HEADER.pack(number, _RECURSE | _AUTHENTIC, 1, 0, 0, 1) + asked + _OPT


def number_of(packet: bytes) -> int:
    """-1 if it is too short to be a message."""
    return int.from_bytes(packet[:2], "big") if len(packet) >= _HEADER.size else -1


def answers(packet: bytes, asked: bytes) -> bool:
    """Whether this is a response to that question and to no other."""
    if len(packet) < _HEADER.size:
        return False
    _, flags, questions, *_ = _HEADER.unpack_from(packet)
    is_response = flags & (_RESPONSE | _OPCODE) == _RESPONSE
    return is_response and questions == 1 and packet.startswith(asked, _HEADER.size)


def read(packet: bytes, asked: bytes) -> Reply:
    """What a packet that `answers` the question says. ValueError if it is malformed."""
    _, flags, _, count, _, _ = _HEADER.unpack_from(packet)
    is_truncated = bool(flags & _TRUNCATED)
    if count > _MOST_RECORDS:
        raise ValueError(f"more than {_MOST_RECORDS} records")
    records: tuple[Record, ...] = ()
    if not is_truncated:
        parser = Parser(packet, _HEADER.size + len(asked))
        try:
            read = [_record(parser) for _ in range(count)]
        except DNSException as error:
            raise ValueError(f"malformed: {error}") from error
        records = tuple(record for record in read if record is not None)
    return Reply(flags & _RCODE, is_truncated, bool(flags & _AUTHENTIC), records)


def _record(parser: Parser) -> Record | None:
    """None for what nobody asked for (RRSIG beside the answer, say)."""
    owner = _name(parser)
    number, group, ttl_s, size = _RECORD.unpack(parser.get_bytes(_RECORD.size))
    kind = _KINDS.get(number)
    if kind is None or group != _IN:
        parser.get_bytes(size)
        return None
    preference = 0
    with parser.restrict_to(size):
        match kind:
            case "MX":
                preference = parser.get_uint16()
                value = _name(parser)
            case "CNAME" | "PTR":
                value = _name(parser)
            case "SOA":
                value = _name(parser)
                parser.get_remaining()
            case "A":
                value = str(IPv4Address(parser.get_bytes(4)))
            case "AAAA":
                value = str(IPv6Address(parser.get_bytes(16)))
            case "TXT":
                value = _text(parser)
            case "TLSA":
                usage, selector, matching = parser.get_bytes(3)
                value = f"{usage} {selector} {matching} {parser.get_remaining().hex()}"
    return Record(owner, kind, value, ttl_s if ttl_s <= _LONGEST_TTL else 0, preference)


def _name(parser: Parser) -> str:
    """What is no printable ASCII comes as `\\ddd`: such a name is refused later, but must be printable."""
    return from_wire_parser(parser).to_text().removesuffix(".").lower()


def _text(parser: Parser) -> str:
    parts = []
    while parser.remaining():
        parts.append(parser.get_counted_bytes())
    return b"".join(parts).decode("utf-8", "backslashreplace")
