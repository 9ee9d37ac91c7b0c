import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mta.intake.decode import (
    MAX_DEPTH,
    MAX_PAYLOAD_BYTES,
    Decoded,
    DecodedDue,
    Malformed,
    Rejected,
    decode,
    decode_due,
)
from mta.model.payload import Recipient
from tests.unit.intake.payloads import payload, people

RETRY = {
    "payload_id": "p1",
    "accepted_at": "2026-11-22T07:00:00.000001Z",
    "first_at": "2026-11-22T07:00:01Z",
    "expires_at": "2026-11-25T07:00:00Z",
    "recipients_total": 5,
}
DUE = {"email": "bob@example.test", "index": 3, "attempt": 2, "queued_at": "2026-11-22T07:00:01Z"}


def encoded(**changes: Any) -> bytes:
    return json.dumps(payload(**changes)).encode()


def code_of(body: bytes) -> str:
    result = decode(body)
    assert isinstance(result, Rejected), result
    return result.code


def nested(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = [value]
    return value


HOSTILE = {
    "empty": b"",
    "null": b"null",
    "list": b"[]",
    "text": b'"v"',
    "cut": encoded()[:-1],
    "trailing": encoded() + b"x",
    "bom": b"\xef\xbb\xbf" + encoded(),
    "utf-16": encoded().decode().encode("utf-16"),
    "wrong UTF-8": encoded().replace(b"Hello", b"\xff"),
    "wrong UTF-8 in data": encoded(data={"x": "Hello2"}).replace(b"Hello2", b"\xc3("),
    "surrogate in UTF-8": encoded(data={"x": "Hello2"}).replace(b"Hello2", b"\xed\xa0\x80"),
    "lone surrogate": encoded().replace(b"Hello", rb"\ud800"),
    "lone surrogate in data": encoded(data={"x": "Hello2"}).replace(b"Hello2", rb"\udc00x"),
    "NaN": encoded().replace(b'"v": 1', b'"v": NaN'),
    "NaN in data": encoded(data={"x": "HERE"}).replace(b'"HERE"', b"NaN"),
    "1e400": encoded().replace(b'"v": 1', b'"v": 1e400'),
    "1e400 in data": encoded(data={"x": "HERE"}).replace(b'"HERE"', b"1e400"),
    "10000 digits in data": encoded(data={"x": "HERE"}).replace(b'"HERE"', b"9" * 10_000),
    "10000 lists": b"[" * 10_000 + b"]" * 10_000,
    "10000 lists in data": encoded(data={"x": "HERE"}).replace(b'"HERE"', b"[" * 10_000 + b"]" * 10_000),
    "10000 objects": b'{"a":' * 10_000 + b"1" + b"}" * 10_000,
    "deep data": encoded(data={"x": nested(MAX_DEPTH)}),
    "field twice": encoded().replace(b'"v": 1', b'"v": 1, "v": 1'),
    "field twice, escaped": encoded().replace(b'"v": 1', rb'"v": 1, "\u0076": 1'),
    "header twice": encoded(headers={"X-A": "1"}).replace(b'"X-A": "1"', b'"X-A": "1", "X-A": "2"'),
    "from twice inside": encoded().replace(b'"name": "Acme"', b'"name": "Acme", "name": "Eve"'),
    "key twice in data": encoded(data={"x": 1}).replace(b'"x": 1', b'"x": 1, "x": 2'),
    "key twice in metadata": encoded(metadata={"x": 1}).replace(b'"x": 1', rb'"x": 1, "\u0078": 2'),
    "no v": encoded(v=None),
    "v as text": encoded(v="1"),
    "v as bool": encoded(v=True),
    "v as float": encoded(v=1.5),
    "no tenant": encoded(tenant=None),
    "no from": encoded(sender=None),
    "no content": encoded(content=None),
    "no recipients": encoded(recipients=None),
    "zero recipients": encoded(recipients=[]),
    "recipients as object": encoded(recipients={}),
    "unknown field": encoded(cc=[]),
    "unknown field inside": encoded(content={"text": "x", "markdown": "x"}),
    "unknown lane": encoded(lane="express"),
    "unknown engine": encoded(content={"text": "x", "engine": "mako"}),
    "unknown tls": encoded(tls="maybe"),
    "time without sense": encoded(expires_at="tomorrow"),
    "data as list": encoded(data=[]),
    "data as text": encoded(data="x"),
    "metadata as number": encoded(metadata=1),
    "metadata null": encoded().replace(b'"v": 1', b'"v": 1, "metadata": null'),
    "retry part": encoded(retry=RETRY),
    "stored content": encoded(content={"sha256": "0" * 64}),
    **{f"reserved {key}": encoded(data={key: 1}) for key in ("recipient", "payload", "unsubscribe_url")},
    "reserved, escaped": encoded(data={"x": 1}).replace(b'"x"', rb'"\u0070ayload"'),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_E1_E2_hostile_bytes_are_a_schema_error(name: str) -> None:
    """A value with a reason, never an exception."""
    result = decode(HOSTILE[name])
    assert isinstance(result, Rejected)
    assert result.code == "schema"
    assert 0 < len(result.detail) <= 300


@pytest.mark.parametrize("version", [0, -1, 2, 10**30])
def test_another_version_is_unsupported(version: int) -> None:
    """Whatever else is new in it."""
    assert code_of(encoded(v=version)) == "unsupported"
    assert code_of(encoded(v=version, hologram=True)) == "unsupported"


def test_sizes_of_the_payload() -> None:
    """At each limit and one above it: body, data, metadata, recipients."""
    size = MAX_PAYLOAD_BYTES - len(encoded(content={"text": ""}))
    assert isinstance(decode(encoded(content={"text": "x" * size})), Decoded)
    assert code_of(encoded(content={"text": "x" * (size + 1)})) == "too_large"
    for name, limit in (("data", 100_000), ("metadata", 2_000)):
        size = limit - len('{"x": ""}')
        assert isinstance(decode(encoded(**{name: {"x": "y" * size}})), Decoded)
        assert code_of(encoded(**{name: {"x": "y" * (size + 1)}})) == "too_large"
    assert isinstance(decode(encoded(recipients=people(1000))), Decoded)
    assert code_of(encoded(recipients=people(1001))) == "too_many_recipients"


def test_counts_of_the_payload() -> None:
    """At each limit and one above it."""
    for name, limit, code in (
        ("headers", 30, "bad_header"),
        ("reply_to", 10, "schema"),
        ("attachments", 20, "too_large"),
        ("tags", 10, "schema"),
    ):
        for count in (limit, limit + 1):
            many: Any = {
                "headers": {f"X-{n}": "" for n in range(count)},
                "reply_to": [{"email": "h@acme.test"}] * count,
                "attachments": [{"name": "a", "type": "b"}] * count,
                "tags": ["t"] * count,
            }[name]
            result = decode(encoded(**{name: many}))
            assert (result.code if isinstance(result, Rejected) else "") == ("" if count == limit else code)


def test_the_senders_id_is_told_where_it_can_be_read() -> None:
    """A rejection names the payload it is about."""
    result = decode(encoded(id="order-1", cc=[]))
    assert isinstance(result, Rejected)
    assert result.payload_id == "order-1"
    for odd in (1, ["x"], {}, "x" * 129):
        result = decode(encoded(id=odd, cc=[]))
        assert isinstance(result, Rejected)
        assert result.payload_id == ""


DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("body", "payload_id"),
    [
        (encoded(id="order-1", content={"text": "x" * MAX_PAYLOAD_BYTES}), "order-1"),
        (b'{"id":"order-1","x":%b}' % DEEP, "order-1"),
        (b'{"x":%b, "id" :\t"\\u006frder-1"}' % DEEP, "order-1"),
        (b'{"a":"\\"id\\":","b":[{"id":"r1"}],"x":%b,"c":"{\\\\","id":"order-1"}' % DEEP, "order-1"),
        (b'{"recipients":[%b],"x":%b,"id":"order-1"}' % (b",".join([b'{"id":"r"}'] * 1000), DEEP), "order-1"),
        (encoded(id="order-1")[:-1], "order-1"),
        (encoded(id="order-1", tenant=float("nan")), "order-1"),
        (b'{"recipients":[{"id":"r"}],"x":%b}' % DEEP, ""),
        (b'{"id":%b}' % DEEP, ""),
        (b'{"x":%b,"id":"\\x"}' % DEEP, ""),
        (b'{"x":%b,"id":"%b"}' % (DEEP, b"x" * 129), ""),
        (DEEP, ""),
    ],
)
def test_the_senders_id_is_told_of_what_no_parser_takes(body: bytes, payload_id: str) -> None:
    """Too large, or nested too deep: its own, not that of something within."""
    result = decode(body)
    assert isinstance(result, Rejected)
    assert result.payload_id == payload_id


BAD_RECIPIENTS: dict[str, tuple[bytes, str]] = {
    "number": (b"1", "schema"),
    "null": (b"null", "schema"),
    "no email": (b'{"id":"bad"}', "schema"),
    "email as number": (b'{"email":1,"id":"bad"}', "schema"),
    "unknown field": (b'{"email":"a@b.test","id":"bad","cc":1}', "schema"),
    "field twice": (b'{"email":"a@b.test","id":"bad","email":"c@d.test"}', "schema"),
    "field twice, escaped": (rb'{"email":"a@b.test","id":"bad","\u0065mail":"c@d.test"}', "schema"),
    "key twice": (b'{"email":"a@b.test","id":"bad","data":{"u":"https://b.test/","u":1}}', "schema"),
    "key twice inside": (b'{"email":"a@b.test","id":"bad","metadata":{"x":{"u":1,"u":2}}}', "schema"),
    "data as list": (b'{"email":"a@b.test","id":"bad","data":[]}', "schema"),
    "data null": (b'{"email":"a@b.test","id":"bad","data":null}', "schema"),
    "1e400": (b'{"email":"a@b.test","id":"bad","data":{"x":1e400}}', "schema"),
    "reserved": (b'{"email":"a@b.test","id":"bad","data":{"payload":1}}', "schema"),
    "deep": (b'{"email":"a@b.test","id":"bad","data":{"x":%b1%b}}' % (b"[" * 32, b"]" * 32), "schema"),
    "large": (b'{"email":"a@b.test","id":"bad","data":{"x":"%b"}}' % (b"x" * 16_000), "too_large"),
    "metadata": (b'{"email":"a@b.test","id":"bad","metadata":{"x":"%b"}}' % (b"x" * 2_000), "too_large"),
}


@pytest.mark.parametrize("name", BAD_RECIPIENTS)
def test_E10_a_bad_recipient_is_bad_alone(name: str) -> None:
    """The others are decoded, and it is named as far as it can be read."""
    raw, code = BAD_RECIPIENTS[name]
    body = encoded(recipients=[*people(2), "HERE", *people(1)]).replace(b'"HERE"', raw)
    result = decode(body)
    assert isinstance(result, Decoded)
    kinds = [type(recipient) is Malformed for recipient in result.recipients]
    assert kinds == [False, False, True, False]
    bad = result.recipients[2]
    assert isinstance(bad, Malformed)
    assert bad.code == code
    assert bad.recipient_id == ("" if name in ("number", "null") else "bad")


def test_what_is_only_written_in_another_way_is_good() -> None:
    """Escapes, defaults spelled out and white space raise no false alarm of repeated keys."""
    body = encoded(recipients=[{"email": "a@b.test", "name": "", "data": {}, "tags": []}], headers={"X": "é"})
    spaced = json.dumps(json.loads(body), indent=4).encode().replace(b'"email"', rb'"\u0065mail"')
    for each in (body, spaced):
        result = decode(each)
        assert isinstance(result, Decoded), result
        assert isinstance(result.recipients[0], Recipient)


def test_data_may_be_nested_to_the_limit() -> None:
    """One level below what is refused."""
    assert isinstance(decode(encoded(data={"x": nested(MAX_DEPTH - 1)})), Decoded)


def test_a_million_keys_cost_little() -> None:
    """Too large as a payload; and what fits is refused by the limit of `data`."""
    keys = ",".join(f'"k{n}":1' for n in range(90_000))
    assert code_of(encoded(data={"HERE": 1}).replace(b'"HERE": 1', keys.encode())) == "too_large"


def test_raw_objects_keep_their_bytes() -> None:
    """The loop does not rewrite what only workers and readers look into."""
    body = encoded(recipients=["HERE"], metadata={"a": 1}).replace(
        b'"HERE"', b'{"email":"a@b.test","data":{"x": 1.50},"metadata":{"k" :"v"}}'
    )
    result = decode(body)
    assert isinstance(result, Decoded)
    recipient = result.recipients[0]
    assert isinstance(recipient, Recipient)
    assert bytes(recipient.data) == b'{"x": 1.50}'
    assert recipient.metadata is not None
    assert bytes(recipient.metadata) == b'{"k" :"v"}'


def test_a_due_payload() -> None:
    """With its `retry` part, and recipients that have come some way."""
    last = {"class": "greylisted", "stage": "rcpt", "code": 451, "text": "later"}
    body = encoded(retry=RETRY, content={"sha256": "ab"}, recipients=[{**DUE, "last": last, "source": "a1"}])
    result = decode_due(body)
    assert isinstance(result, DecodedDue)
    assert result.retry.recipients_total == 5
    assert result.recipients[0].index == 3
    assert result.recipients[0].last is not None
    assert result.recipients[0].last.bounce_class == "greylisted"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"retry": RETRY},
        {"retry": RETRY, "recipients": []},
        {"retry": {"payload_id": "p1"}, "recipients": [DUE]},
        {"retry": RETRY, "recipients": [{**DUE, "index": "3"}]},
    ],
)
def test_a_due_payload_of_the_wrong_shape(changes: dict[str, Any]) -> None:
    """Only daemons write there; whatever else comes is a schema error."""
    result = decode_due(encoded(**changes))
    assert isinstance(result, Rejected)
    assert result.code == "schema"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [*payload(), "id", "data", "metadata", "headers", "tags", "attachments", "retry", "send_at"]
)


@given(st.dictionaries(FIELDS, JSON, max_size=4), st.lists(JSON, max_size=3))
def test_any_json_is_decoded_or_rejected(changes: dict[str, Any], extra: list[Any]) -> None:
    """Never an exception, and every recipient is accounted for."""
    fields = payload() | changes
    if isinstance(fields["recipients"], list):
        fields["recipients"] = fields["recipients"] + extra
    body = json.dumps(fields).encode()
    result = decode(body)
    assert isinstance(result, Decoded | Rejected)
    if isinstance(result, Decoded):
        assert len(result.recipients) == len(fields["recipients"])
    assert isinstance(decode_due(body), DecodedDue | Rejected)


@given(st.binary(max_size=60), st.integers(0, 300))
def test_any_bytes_are_decoded_or_rejected(noise: bytes, at: int) -> None:
    """Also in the middle of a good payload."""
    good = encoded(recipients=people(2))
    for body in (noise, good[:at] + noise + good[at:], good[:at] + noise + good[at + len(noise) :]):
        assert isinstance(decode(body), Decoded | Rejected)
        assert isinstance(decode_due(body), DecodedDue | Rejected)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lane": "express"}, "at `$.lane`: expected transactional or bulk"),
        ({"content": {"text": "x", "engine": "mako"}}, "at `$.content.engine`: expected jinja or static"),
        ({"content": {"text": "x", "undefined": "zap"}}, "at `$.content.undefined`: expected error or empty"),
        ({"tls": "maybe"}, "at `$.tls`: expected opportunistic or none or "),
    ],
)
def test_a_word_that_is_none_of_a_few_names_the_few(changes: dict[str, Any], said: str) -> None:
    """Who wrote it need not look them up."""
    result = decode(encoded(**changes))
    assert isinstance(result, Rejected)
    assert said in result.detail
