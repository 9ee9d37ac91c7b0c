import pytest
from dnslib import DNSRecord
from hypothesis import given, settings
from hypothesis import strategies as st

from loadtest.zone import Question, Zone, domain_of, parse

HEADER = bytes.fromhex("0001 0100 0001 0000 0000 0000")
ZONE = Zone(own_percent=20, hosts=300, addresses=250, ttl_s=600)


def asked(name: str, kind: str) -> tuple[int, list[tuple[str, str, int]]]:
    """The code, and (owner, data, TTL) of the answers, as an independent reader sees them."""
    query = DNSRecord.question(name, kind)
    found = ZONE.answer(query.pack())
    assert found is not None
    answer, said_name, said_kind = found
    assert (said_name, said_kind) == (name.lower(), kind)
    read = DNSRecord.parse(answer)
    assert (read.header.id, read.header.qr, str(read.q.qname)) == (query.header.id, 1, f"{name}.")
    return read.header.rcode, [(str(one.rname), str(one.rdata), one.ttl) for one in read.rr]


def test_a_domain_and_its_host() -> None:
    """Some have their own, the rest share; each host has an address of the sink."""
    assert asked("d0000005.test", "MX") == (0, [("d0000005.test.", "10 mx.d0000005.test.", 600)])
    assert asked("mx.d0000005.test", "A") == (0, [("mx.d0000005.test.", "127.0.1.6", 600)])
    assert asked("d0000601.test", "MX") == (0, [("d0000601.test.", "10 mx1.hosts.test.", 600)])
    assert asked("mx1.hosts.test", "A") == (0, [("mx1.hosts.test.", "127.0.1.2", 600)])
    assert asked("MX1.hosts.TEST", "A")[0] == 0


@pytest.mark.parametrize("name", ["d1.example", "test", "mx.test", "x1.test", "d1x.test", "mxa.hosts.test"])
def test_all_else_does_not_exist(name: str) -> None:
    """NXDOMAIN for a name that is none of ours."""
    assert asked(name, "MX") == (3, [])


def test_what_a_name_does_not_have() -> None:
    """NOERROR without data, for other types."""
    assert asked("d0000001.test", "A") == (0, [])
    assert asked("mx.d0000005.test", "AAAA") == (0, [])
    assert asked("mx1.hosts.test", "MX") == (0, [])


@pytest.mark.parametrize(("percent", "own"), [(0, 0), (20, 200), (33, 330), (100, 1000)])
def test_the_share_of_own_hosts(percent: int, own: int) -> None:
    """As many as were asked for."""
    zone = Zone(own_percent=percent)
    assert sum(zone.has_own_host(number) for number in range(1000)) == own


@settings(deadline=None)
@given(st.binary(max_size=80) | st.binary(max_size=60).map(HEADER.__add__))
def test_no_bytes_break_it(query: bytes) -> None:
    """Whatever comes is answered or ignored."""
    found = ZONE.answer(query)
    assert found is None or found[0][:2] == query[:2]


def test_an_answer_is_not_answered() -> None:
    """Nor is what holds no question, or another class."""
    query = bytes(DNSRecord.question("d1.test", "MX").pack())
    assert ZONE.answer(query[:2] + b"\x81" + query[3:]) is None
    assert ZONE.answer(query[:5] + b"\x02" + query[6:]) is None
    assert ZONE.answer(query[:-1] + b"\x03") is None


def test_log_lines() -> None:
    """What is written is read back, a torn last line is not."""
    questions = [Question(1, 7, "MX", domain_of(1)), Question(2, 8, "A", "mx1.hosts.test")]
    log = b"".join(one.render() for one in questions)
    assert list(parse(log)) == questions
    assert list(parse(log[:-1])) == questions[:1]
