"""DNS messages against those of dnspython, and against noise."""

import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.dns import wire
from mta.dns.record import Record, RecordKind

ASKED = wire.question("acme.test", "MX")


def response(*rrsets: str, flags: int = dns.flags.AD, name: str = "acme.test", kind: str = "MX") -> bytes:
    """A response made by dnspython; each RRset as `owner ttl class type data`."""
    message = dns.message.make_response(dns.message.make_query(name, kind, id=7))
    message.flags |= flags
    for text in rrsets:
        owner, ttl, group, type_, data = text.split(" ", 4)
        message.answer.append(dns.rrset.from_text(owner, int(ttl), group, type_, data))
    return message.to_wire()


def read(*rrsets: str) -> list[Record]:
    return list(wire.read(response(*rrsets), ASKED).records)


def raw(data: bytes, number: int = 52, group: int = 1, ttl: int = 60) -> bytes:
    """A response with one record under the name asked for, its data as given."""
    head = b"\xc0\x0c" + number.to_bytes(2, "big") + group.to_bytes(2, "big") + ttl.to_bytes(4, "big")
    return b"\0\7\x80\0\0\1\0\1\0\0\0\0" + ASKED + head + len(data).to_bytes(2, "big") + data


def test_a_query_as_dnspython_reads_it() -> None:
    """T-09: it asks for recursion, for the AD bit and, with EDNS, for DNSSEC."""
    message = dns.message.from_wire(wire.query(4711, wire.question("_25._tcp.mx.acme.test", "TLSA")))
    assert message.id == 4711
    assert message.flags == dns.flags.RD | dns.flags.AD
    assert (message.edns, message.ednsflags, message.payload) == (0, dns.flags.DO, 4096)
    assert message.question[0].to_text() == "_25._tcp.mx.acme.test. IN TLSA"


@pytest.mark.parametrize("kind", ["MX", "CNAME", "A", "AAAA", "TXT", "PTR", "SOA", "TLSA"])
def test_each_kind_can_be_asked_for(kind: RecordKind) -> None:
    """The numbers of the types are those of dnspython."""
    message = dns.message.from_wire(wire.query(1, wire.question("a.test", kind)))
    assert dns.rdatatype.to_text(message.question[0].rdtype) == kind


@pytest.mark.parametrize("name", ["", "a..test", "a.test.", "é.test", f"{'a' * 64}.test", "a." * 127 + "a"])
def test_what_is_no_name_is_not_asked(name: str) -> None:
    """C16: such a name would be another one on the wire."""
    with pytest.raises(ValueError, match=r"no domain name|ascii"):
        wire.question(name, "MX")


def test_records_of_each_kind() -> None:
    """Values as `Record` says, names in lower case without the final dot, what nobody knows passed over."""
    assert read(
        "acme.test. 60 IN MX 10 MX.Acme.Test.",
        "null.test. 60 IN MX 0 .",
        "A.test. 60 IN CNAME b.test.",
        "a.test. 60 IN A 192.0.2.1",
        "a.test. 60 IN AAAA 2001:DB8::1",
        'a.test. 60 IN TXT "v=STSv1; " "id=1;"',
        "1.2.0.192.in-addr.arpa. 60 IN PTR mx.acme.test.",
        "acme.test. 60 IN SOA ns.acme.test. hostmaster.acme.test. 1 2 3 4 5",
        f"_25._tcp.a.test. 60 IN TLSA 3 1 1 {'AB' * 32}",
        "acme.test. 60 IN HINFO a b",
    ) == [
        Record("acme.test", "MX", "mx.acme.test", 60, 10),
        Record("null.test", "MX", "", 60, 0),
        Record("a.test", "CNAME", "b.test", 60),
        Record("a.test", "A", "192.0.2.1", 60),
        Record("a.test", "AAAA", "2001:db8::1", 60),
        Record("a.test", "TXT", "v=STSv1; id=1;", 60),
        Record("1.2.0.192.in-addr.arpa", "PTR", "mx.acme.test", 60),
        Record("acme.test", "SOA", "ns.acme.test", 60),
        Record("_25._tcp.a.test", "TLSA", f"3 1 1 {'ab' * 32}", 60),
    ]


def test_a_name_that_is_not_ascii_is_printable() -> None:
    """Octets that no host name has, dots within a label too, come escaped."""
    (record,) = read(r"acme.test. 60 IN MX 10 \010\255a\.b.test.")
    assert record.value == r"\010\255a\.b.test"


def test_text_that_is_no_utf_8_is_printable() -> None:
    """A TXT record may hold any octets."""
    assert wire.read(raw(b"\3a\xffb", 16), ASKED).records[0].value == "a\\xffb"


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b"\3\1\1" + b"\xab" * 31, f"3 1 1 {'ab' * 31}"),
        (b"\xff\xff\xff", "255 255 255 "),
    ],
)
def test_an_odd_tlsa_record_is_the_readers_to_judge(data: bytes, value: str) -> None:
    """T-07: one record that makes no sense does not spoil the others of an answer."""
    assert wire.read(raw(data), ASKED).records == (Record("acme.test", "TLSA", value, 60),)


def test_another_class_is_passed_over() -> None:
    """What is no record of the internet says nothing about it."""
    assert wire.read(raw(b"\xc0\0\2\1", 1, group=3), ASKED).records == ()


def test_a_ttl_above_the_limit_is_none() -> None:
    """RFC 2181 section 8: the highest bit set means 0."""
    assert wire.read(raw(b"\xc0\0\2\1", 1, ttl=0x80000000), ASKED).records[0].ttl_s == 0


@pytest.mark.parametrize("flags", [0, dns.flags.AD, dns.flags.TC, dns.flags.AD | dns.flags.TC])
def test_the_bits_that_count(flags: int) -> None:
    """AD says that DNSSEC holds; of a truncated answer no record is believed."""
    reply = wire.read(response("acme.test. 60 IN MX 10 a.test.", flags=flags), ASKED)
    assert reply.is_secure is bool(flags & dns.flags.AD)
    assert reply.is_truncated is bool(flags & dns.flags.TC)
    assert len(reply.records) == int(not reply.is_truncated)


@pytest.mark.parametrize("code", ["NOERROR", "SERVFAIL", "NXDOMAIN", "REFUSED"])
def test_response_codes(code: str) -> None:
    """The numbers are those of dnspython."""
    rcode = dns.rcode.from_text(code)
    assert wire.read(response(flags=int(rcode)), ASKED).rcode == getattr(wire, code) == rcode


def test_an_answer_to_the_question() -> None:
    """Only a response, to one question, and to the one asked, octet for octet."""
    packet = response()
    assert wire.number_of(packet) == 7
    assert wire.answers(packet, ASKED)
    query = wire.query(7, ASKED)
    for other in (
        query,
        packet[:11],
        b"",
        response(name="acme2.test"),
        response(kind="A"),
        packet[:2] + bytes((packet[2] | 0x08,)) + packet[3:],
        packet[:5] + b"\2" + packet[6:],
        packet[:5] + b"\0" + packet[6:],
    ):
        assert not wire.answers(other, ASKED)
    assert wire.number_of(packet[:11]) == -1


@pytest.mark.parametrize(
    "packet",
    [
        raw(b"\xc0\0\2", 1),
        raw(b"\xc0\0\2\1\0", 1),
        raw(b"\3\1"),
        raw(b"\0\x0a\xc0", 15),
        raw(b"\0\x0a\xff\xff", 15),
        raw(b"\5ab", 16),
        raw(b"")[:-1],
        raw(b"\xc0\0\2\1", 1)[:-1],
        b"\0\7\x80\0\0\1\xff\xff\0\0\0\0" + ASKED,
    ],
)
def test_a_malformed_answer_is_an_error(packet: bytes) -> None:
    """Data too short or too long, a pointer that leads ahead, fewer records than told, more than are looked at."""
    assert wire.answers(packet, ASKED)
    with pytest.raises(ValueError, match=r"malformed|more than"):
        wire.read(packet, ASKED)


@given(st.binary(max_size=300), st.integers(0, 3), st.sampled_from([1, 5, 6, 12, 15, 16, 28, 41, 46, 52]))
def test_noise_is_an_error_or_printable(noise: bytes, count: int, number: int) -> None:
    """Hostile octets give a `ValueError` or records that are safe to show, and nothing else."""
    packets = (
        b"\0\7\x80\0\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0" + ASKED + noise,
        raw(noise, number),
        noise,
    )
    for packet in packets:
        if not wire.answers(packet, ASKED):
            continue
        try:
            reply = wire.read(packet, ASKED)
        except ValueError:
            continue
        for record in reply.records:
            assert record.owner.isascii()
            assert record.owner.isprintable()
            assert record.kind == "TXT" or record.value.isprintable()
