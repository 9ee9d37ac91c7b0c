"""What cannot be processed goes whole to MTA_DEAD with its reason, and the next payload is served."""

import gzip
import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.fakes.rig import Event, Rig

pytestmark = pytest.mark.asyncio(loop_scope="session")


Change = Callable[[dict[str, Any]], Any]
BAD: dict[str, tuple[str, Change]] = {
    "no JSON": ("schema", lambda p: b"{nonsense"),
    "empty": ("schema", lambda p: b""),
    "not UTF-8": ("schema", lambda p: b'{"v":1,"id":"\xff"}'),
    "an array": ("schema", lambda p: b"[1]"),
    "nested, with an id": (
        "schema",
        lambda p: b'{"x":%b,"id":"%b"}' % (b"[" * 10_000 + b"]" * 10_000, p["id"].encode()),
    ),
    "nested": ("schema", lambda p: b"[" * 10_000 + b"]" * 10_000),
    "NaN": ("schema", lambda p: json.dumps(p | {"data": {"x": float("nan")}}).encode()),
    "unknown field": ("schema", lambda p: p | {"surprise": 1}),
    "wrong type": ("schema", lambda p: p | {"recipients": "all"}),
    "missing field": ("schema", lambda p: {k: v for k, v in p.items() if k != "from"}),
    "repeated key": ("schema", lambda p: json.dumps(p).replace('"v": 1', '"v": 1, "v": 1').encode()),
    "no recipients": ("schema", lambda p: p | {"recipients": []}),
    "retry part": ("schema", lambda p: p | {"retry": None, "content": {"sha256": "0" * 64}}),
    "wrong lane": ("schema", lambda p: p | {"lane": "bulk"}),
    "wrong campaign": ("schema", lambda p: p | {"campaign": "other"}),
    "too many": (
        "too_many_recipients",
        lambda p: p | {"recipients": [{"email": f"r{n}@other.test"} for n in range(1001)]},
    ),
    "another version": ("unsupported", lambda p: p | {"v": 2}),
    "channel": ("unsupported", lambda p: p | {"channel": "sms"}),
    "send_at": ("schema", lambda p: p | {"send_at": "2050-01-01T00:00:00Z"}),
    "tls": ("schema", lambda p: p | {"tls": "always"}),
    "skip_suppression": ("unsupported", lambda p: p | {"skip_suppression": True}),
    "one click": ("unsupported", lambda p: p | {"unsubscribe": {"one_click": True}}),
    "tenant": ("tenant_mismatch", lambda p: p | {"tenant": "other"}),
    "from": ("from_not_allowed", lambda p: p | {"from": {"email": "ceo@bank.test"}}),
    "return path": ("from_not_allowed", lambda p: p | {"return_path": "b.bank.test"}),
    "from address": ("bad_address", lambda p: p | {"from": {"email": "news@acme.test\r\nBcc: x"}}),
    "from name": ("bad_header", lambda p: p | {"from": {"email": "news@acme.test", "name": "A\r\nBcc: x"}}),
    "pool": ("pool_not_allowed", lambda p: p | {"pool": "other"}),
    "too large": ("too_large", lambda p: p | {"data": {"x": "x" * 200_000}}),
    "compressed": (
        "schema",
        lambda p: gzip.compress(json.dumps(p | {"data": {"x": "x" * 900_000}}).encode()),
    ),
    "much too large": ("too_large", lambda p: p | {"content": {"text": "x" * 1_100_000}}),
    "header": ("bad_header", lambda p: p | {"headers": {"Bcc": "evil@other.test"}}),
    "header line": ("bad_header", lambda p: p | {"headers": {"X-A": "a\nBcc: evil@other.test"}}),
    "built message": ("schema", lambda p: p | {"content": {"rfc822": "U3ViamVjdDogeA=="}}),
    "template": ("template_missing", lambda p: p | {"content": {"template": {"name": "nowhere"}}}),
    "template syntax": ("template_error", lambda p: p | {"content": {"subject": "x", "text": "{% if %}"}}),
    "attachment": (
        "attachment_missing",
        lambda p: p | {"attachments": [{"name": "a.pdf", "type": "application/pdf", "ref": "obj://no/such"}]},
    ),
    "attachment type": (
        "attachment_type",
        lambda p: p | {"attachments": [{"name": "a.exe", "type": "application/pdf", "data": "AAAA"}]},
    ),
    "expired": ("expired", lambda p: p | {"expires_at": "2020-01-01T00:00:00Z"}),
    "no way out": ("unsubscribe_required", lambda p: p | {"stream": "marketing"}),
}


@pytest.mark.parametrize("what", BAD)
async def test_e1_e2_e3_it_is_rejected_and_kept(rig: Rig, what: str) -> None:
    """One `rejected` event with the stable code, the whole body in MTA_DEAD, nothing left in the stream."""
    code, change = BAD[what]
    payload = rig.payload("ada@other.test", id=f"bad-{what.replace(' ', '-')}")
    changed = change(payload)
    body = changed if isinstance(changed, bytes) else json.dumps(changed).encode()
    before = set(rig.events)

    def new() -> list[Event]:
        return [event for name, events in rig.events.items() if name not in before for event in events]

    ack = await rig.publish(body)
    await rig.until(new)
    await rig.emptied(payload | {"id": ""})
    events = new()
    assert [(event["type"], event["error"]["code"]) for event in events] == [("rejected", code)]
    assert events[0]["tenant"] == "acme"
    name = events[0]["payload_id"]
    assert name == payload["id"] if b"bad-" in body else UUID(name).version == 7
    subject, kept, headers = await rig.dead(ack.sequence)
    assert (subject, kept) == (f"mta.dead.{code}", body)
    assert headers["Mta-Reason"] == code
    assert headers["Mta-Subject"] == "mta.payload.transactional.acme._"
    assert headers["Mta-Detail"]


async def test_the_next_payload_is_served(rig: Rig) -> None:
    """Between two bad ones a good one goes its way."""
    async with rig.destination() as place:
        good = rig.payload(place.to("ada"))
        await rig.publish(b"{")
        await rig.publish(good)
        await rig.publish(b"}")
        assert (await rig.finished(good)).counts() == {"delivered": 1}


async def test_one_bad_recipient_is_rejected_alone(rig: Rig) -> None:
    """E10: each fault of a recipient is its own, and the others are mailed."""
    async with rig.destination() as place:
        bad = [
            {"email": "nobody"},
            {"email": place.to("a"), "data": {"recipient": 1}},
            {"email": place.to("b"), "surprise": 1},
            {"email": place.to("c"), "data": {"x": "x" * 20_000}},
        ]
        good = [place.to(f"r{number}") for number in range(20)]
        told = await rig.deliver(rig.payload(*good[:10], *bad, *good[10:]))
        assert told.counts() == {"delivered": 20, "rejected": 4}
        assert [told.end(one["email"])["error"]["code"] for one in bad] == [
            "bad_address",
            "schema",
            "schema",
            "too_large",
        ]
        (accepted,) = told.whole
        assert accepted["counts"] == {"recipients": 24, "rejected": 4}
