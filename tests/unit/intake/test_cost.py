import time
from collections.abc import Callable
from itertools import pairwise

import pytest

from mta.intake.admission import Admitted, admit
from mta.intake.decode import MAX_PAYLOAD_BYTES, Decoded, decode
from mta.intake.rules import MAX_INTERNATIONAL
from tests.unit.intake.payloads import ARRIVAL, RULES, judged
from tests.unit.intake.test_decode import encoded

MOST_CPU_S = 2.0
"""Generous, so that no busy machine fails it: what is meant takes a tenth at most, and with a step that grows with
the square of its input ten times as long."""


def with_field(name: str, value: bytes) -> bytes:
    return encoded()[:-1] + b',"%b":%b}' % (name.encode(), value)


def members(count: int) -> bytes:
    return b",".join(b'"k%d":""' % n for n in range(count))


def with_recipients(each: Callable[[int], bytes], count: int = 1000) -> bytes:
    return encoded(recipients=["HERE"]).replace(b'"HERE"', b",".join(map(each, range(count))))


def person(domain: str, local: str = "r%d") -> Callable[[int], bytes]:
    return lambda n: b'{"email":"%b@%b"}' % ((local % n).encode(), (domain % {"n": n}).encode())


def ideographs(n: int, count: int) -> str:
    return "".join(chr(0x4E00 + (n * 37 + place * 101) % 20_000) for place in range(count))


HOSTILE = {
    "80,000 headers": with_field("headers", b"{%b}" % members(80_000)),
    "80,000 headers, the last one twice": with_field("headers", b'{%b,"k79999":""}' % members(80_000)),
    "80,000 unknown fields": encoded()[:-1] + b",%b}" % members(80_000),
    "80,000 keys in data": with_field("data", b"{%b}" % members(80_000)),
    "9,000 keys in data, the last one twice": with_field("data", b'{%b,"k8999":""}' % members(9_000)),
    "80,000 keys in metadata": with_field("metadata", b"{%b}" % members(80_000)),
    "240,000 tags": with_field("tags", b"[%b]" % b",".join([b'"a"'] * 240_000)),
    "240,000 tags of one recipient": with_recipients(
        lambda n: b'{"email":"a@b.test","tags":[%b]}' % b",".join([b'"a"'] * 240_000), 1
    ),
    "30,000 addresses to reply to": with_field(
        "reply_to", b"[%b]" % b",".join([b'{"email":"a@b.test"}'] * 30_000)
    ),
    "30,000 attachments": with_field(
        "attachments", b"[%b]" % b",".join([b'{"name":"a","type":"b"}'] * 30_000)
    ),
    "400,000 recipients": with_recipients(lambda n: b"1", 400_000),
    "400,000 lists in one another": with_field("data", b'{"a":%b%b}' % (b"[" * 400_000, b"]" * 400_000)),
    "30,000 lists beside one another": with_field("data", b'{"a":[%b]}' % b",".join([b"[]"] * 30_000)),
    "300 lists for each recipient": with_recipients(
        lambda n: b'{"email":"r%d@b.test","data":{"a":[%b]}}' % (n, b",".join([b"[]"] * 300))
    ),
    "900 keys for each recipient, one twice": with_recipients(
        lambda n: b'{"email":"r%d@b.test","data":{%b,"k80":1}}' % (n, members(81))
    ),
    "400,000 escaped quotes, unreadable": b'{"x":%b"%b","id":"' % (b"[" * 9_000, b'\\"' * 400_000),
    "400,000 escaped quotes that do not end": b'{"x":%b"%b"id":"x"' % (b"[" * 9_000, b'\\"' * 400_000),
    "100,000 ids, unreadable": b'{"x":%b%b' % (b"[" * 9_000, b'{"id":"r"},' * 80_000),
    "100,000 ids that do not end": b'{"x":%b%b' % (b"[" * 9_000, b'"id":"' * 100_000),
    "a number of 900,000 digits": with_field("data", b'{"a":%b}' % (b"9" * 900_000)),
    "an address of 900,000 characters": with_recipients(person("b.test", "a." * 400_000 + "%d"), 1),
    "an unsubscribe address of 900,000": with_field("unsubscribe", b'{"mailto":"%b"}' % (b"a." * 400_000)),
    "long local parts": with_recipients(person("@b.test", "a." * 400 + "%d")),
    "long labels": with_recipients(lambda n: person(ideographs(n, 240) + ".test")(n)),
    "many labels": with_recipients(lambda n: person((ideographs(n, 15) + ".") * 12 + "test")(n)),
    "one bad name again and again": with_recipients(person((ideographs(0, 15) + ".") * 12 + "test")),
    "long A-labels": with_recipients(person("xn--" + "a9" * 25 + "%(n)d.test")),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_payload_holds_the_loop(name: str) -> None:
    """Whatever fits into a payload costs a few passes over its bytes."""
    body = HOSTILE[name]
    assert len(body) <= MAX_PAYLOAD_BYTES
    begun = time.process_time()
    result = decode(body)
    if isinstance(result, Decoded):
        admit(result, ARRIVAL, RULES)
    assert time.process_time() - begun < MOST_CPU_S


def test_international_domains_have_a_bound() -> None:
    """Counted once each, in order, whatever was asked before; those beyond it are refused one by one."""
    names = [f"ä{'b' * 40}{n:04}.test" for n in range(MAX_INTERNATIONAL // 50 + 1)]
    assert sum(map(len, names[:-1])) == MAX_INTERNATIONAL
    people = [{"email": f"{local}@{name}"} for name in names for local in ("bob", "eve")]
    for _ in range(2):
        result = judged(recipients=[*people, {"email": "bob@example.test"}])
        assert isinstance(result, Admitted)
        assert [one.index for one in result.rejected] == [len(people) - 2, len(people) - 1]
        assert {one.code for one in result.rejected} == {"too_large"}
    indexes = [one.index for one in result.recipients]
    assert all(before < after for before, after in pairwise(indexes))
