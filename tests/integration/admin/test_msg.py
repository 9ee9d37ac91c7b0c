"""`mta msg` against real streams, with in them what a daemon would have written."""

import json
import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mta.admin.life import question
from mta.admin.msg import asked_of, msg
from mta.admin.output import Output
from mta.config.load import load
from mta.config.settings import Config
from mta.events.encode import CommonFields, Person, encode, payload_event, recipient_event
from mta.events.settings import RecipientForm
from mta.intake.admission import Admitted
from mta.intake.retry import encode_retry, waiting_recipient
from mta.jetstream.connection import Link
from mta.jetstream.consumers import held_subjects
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import PAYLOADS, RETRY, SUPPRESSION
from mta.jetstream.schedule import retry, retry_number
from mta.jetstream.subjects import event_subject, index_subject, payload_subject
from mta.model import ids, times
from mta.model.event import CountsPart, EventType
from mta.model.index import IndexEntry
from mta.model.lane import Lane
from mta.model.outcome import Attempt, Stage
from mta.model.reply import Reply
from mta.model.suppression import Mark, SuppressReason
from mta.suppression.key import mark_key
from mta.suppression.store import MarkStore
from tests.fakes.nats import eventually
from tests.unit.intake.payloads import ARRIVAL, judged

WEEK_S = 7 * 86_400.0


class Sent:
    """A payload to Ada and Bob that was accepted, as it lies in the streams. Each method is what a daemon does next."""

    def __init__(
        self, link: Link, payload_id: str = "order-4711", form: str = "full", key: bytes = b""
    ) -> None:
        people = [{"email": "ada@example.test"}, {"email": "Bob@example.test", "id": "cust-9"}]
        at = times.micro(time.time() - 5)
        arrival = msgspec.structs.replace(ARRIVAL, accepted_at=at, now=at, campaign="spring")
        admitted = judged(arrival=arrival, id=payload_id, campaign="spring", recipients=people)
        assert isinstance(admitted, Admitted)
        self._link = link
        self.admitted = admitted
        self.at = at
        self.common = CommonFields(
            node="n1",
            tenant="acme",
            campaign="spring",
            stream="",
            lane="bulk",
            payload_id=payload_id,
            payload_key=admitted.payload_key,
            form=RecipientForm(form),
            hash_key=key,
        )

    def person(self, index: int) -> Person:
        one = self.admitted.recipients[index]
        key = ids.recipient_key(one.recipient.id, one.index)
        name = ids.message_id(self.at, "acme", self.admitted.payload_id, key)
        return Person(
            str(name),
            one.recipient.email,
            one.mailbox.text,
            one.mailbox.domain,
            one.recipient.id,
            queued_at=self.at,
        )

    async def accept(self) -> None:
        """Into the index, and told."""
        entry = IndexEntry(
            1, "acme", self.admitted.payload_id, PAYLOADS, 1, times.render(self.at), campaign="spring"
        )
        await self._link.request(index_subject(self.admitted.payload_key), msgspec.json.encode(entry))
        counts = CountsPart(recipients=2, rejected=0)
        await self._tell(
            encode(payload_event(EventType.ACCEPTED, self.common, at=self.at, counts=counts)), ""
        )

    async def tell(self, kind: EventType, index: int, attempt: int, code: int = 250, **more: Any) -> None:
        made = Attempt(attempt, self.at, Stage.RCPT, Reply(code, ("said so",)), mx_host="mx.example.test")
        event = recipient_event(
            kind,
            self.common,
            self.person(index),
            at=self.at + attempt,
            provider="google",
            attempt=made,
            **more,
        )
        await self._tell(encode(event), "google")

    async def _tell(self, line: bytes, provider: str) -> None:
        kind = msgspec.json.decode(line)["type"]
        await self._link.request(event_subject("acme", kind, provider, "spring"), line + b"\n")

    async def park(self, index: int, due_at: float) -> None:
        one = waiting_recipient(self.admitted.recipients[index], attempt=1, source="", last=None)
        number = retry_number(PAYLOADS, 1, [(index, 1)])
        message = retry(Lane.BULK, "acme", "spring", self.admitted.payload_key, number, due_at)
        body = encode_retry(self.admitted, "0" * 64, [one])
        await self._link.request(message.subject, body, headers=message.headers)


async def asked(
    config: Config | None, text: str, capsys: pytest.CaptureFixture[str], **options: Any
) -> tuple[int, list[dict[str, Any]], str]:
    """Exit code, what was told as JSON, and on stderr."""
    chosen = {"tenant": "", "since_s": WEEK_S, "limit": 20} | options
    code = await msg(config, {}, Output(True), question(text, {}), **chosen)
    told = capsys.readouterr()
    return code, [json.loads(line) for line in told.out.splitlines()], told.err


def types(case: dict[str, Any]) -> list[str]:
    return [event["type"] for event in case["events"]]


@pytest.mark.parametrize("name", ["message", "event", "address", "own id"])
async def test_a_whole_life(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """By each of its names: attempts, the end, and what came back later; nothing of anybody else."""
    sent = Sent(link)
    await sent.accept()
    await sent.tell(EventType.DELIVERED, 0, 1)
    await sent.tell(EventType.DEFERRED, 1, 1, 451)
    await sent.tell(EventType.DELIVERED, 1, 2)
    await sent.tell(EventType.COMPLAINED, 1, 3)
    bob = sent.person(1)
    text = {
        "message": bob.message_id,
        "event": ids.event_id(bob.message_id, "deferred", 1),
        "address": "bob@EXAMPLE.test",
        "own id": "cust-9",
    }[name]
    code, (case,), _ = await asked(config, text, capsys)
    assert code == 0
    assert types(case) == ["deferred", "delivered", "complained"]
    assert (case["message_id"], case["recipient"]) == (bob.message_id, bob.email)
    assert (case["state"], case["end"]) == ("complained", "delivered")
    assert (case["tenant"], case["campaign"], case["payload_id"]) == ("acme", "spring", "order-4711")
    assert case["accepted_at"] == times.render(sent.at)


async def test_what_waits_has_its_due_time(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """From its schedule in MTA_RETRY."""
    sent = Sent(link)
    await sent.accept()
    await sent.tell(EventType.DEFERRED, 1, 1, 451)
    await sent.park(1, 4_000_000_000.0)
    _, (case,), _ = await asked(config, "cust-9", capsys)
    assert (case["state"], case["due_at"]) == ("waiting", "2096-10-02T07:06:40Z")


async def test_what_is_due_or_in_work_is_told_apart(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """Fired already; or the payload still lies in its queue."""
    sent = Sent(link)
    await link.request(payload_subject(Lane.BULK, "acme", "spring"), b"{}")
    await sent.accept()
    await sent.tell(EventType.DEFERRED, 1, 1, 451)
    _, (case,), _ = await asked(config, "cust-9", capsys)
    assert case["state"] == "in_work"
    await sent.park(1, time.time() - 60)

    async def is_due() -> bool:
        return bool(await held_subjects(link, RETRY, "mta.due.>"))

    await eventually(is_due)
    _, (case,), _ = await asked(config, "cust-9", capsys)
    assert case["state"] == "due"


async def test_all_of_a_payload(acme: Config, link: Link, capsys: pytest.CaptureFixture[str]) -> None:
    """The payload itself, those of whom there are events, and those who still wait for their first attempt."""
    sent, other = Sent(link), Sent(link, "order-47110")
    await other.accept()
    await other.tell(EventType.DELIVERED, 0, 1)
    await sent.accept()
    await sent.tell(EventType.BOUNCED, 0, 1, 550)
    await sent.park(1, 4_000_000_000.0)
    code, cases, _ = await asked(acme, "order-4711", capsys)
    assert code == 0
    assert [types(case) for case in cases] == [["accepted"], ["bounced"], []]
    assert [case["state"] for case in cases] == ["open", "bounced", "waiting"]
    assert cases[2]["recipient"] == "Bob@example.test"


async def test_who_waits_again_is_told_of_once(
    acme: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """His events and what waits are one message."""
    sent = Sent(link)
    await sent.accept()
    await sent.tell(EventType.DEFERRED, 1, 1, 451)
    await sent.park(1, 4_000_000_000.0)
    _, cases, _ = await asked(acme, "order-4711", capsys)
    assert [(types(case), case["state"]) for case in cases] == [
        (["accepted"], "open"),
        (["deferred"], "waiting"),
    ]


async def test_too_many_are_said(acme: Config, link: Link, capsys: pytest.CaptureFixture[str]) -> None:
    """The latest are shown."""
    sent = Sent(link)
    await sent.accept()
    for index in (0, 1):
        await sent.tell(EventType.DELIVERED, index, 1)
    _, cases, errors = await asked(acme, "order-4711", capsys, limit=1)
    assert len(cases) == 2  # the payload itself, and one
    assert "2 messages in all, the latest 1 are shown: --limit" in errors


async def test_a_message_id_needs_no_since(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """It tells where to begin; an address does not."""
    sent = Sent(link)
    await sent.tell(EventType.DELIVERED, 1, 1)
    name = sent.person(1).message_id
    assert (await asked(config, name, capsys, since_s=0.0))[0] == 0
    code, _, errors = await asked(config, "bob@example.test", capsys, since_s=0.0)
    assert code == 1
    assert "taken for an address, and looked for on mta.event.*.*.*.* since " in errors
    assert "mta campaign ls" in errors


async def test_another_tenants_mail_is_left_out(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where one is named."""
    sent = Sent(link)
    await sent.tell(EventType.DELIVERED, 1, 1)
    assert (await asked(config, "bob@example.test", capsys, tenant="other"))[0] == 1
    assert (await asked(config, "bob@example.test", capsys, tenant="acme"))[0] == 0


async def test_what_keeps_more_mail_from_him_is_shown(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """Marks of the address, of its domain and of mail of this kind; not those of other mail."""
    sent = Sent(link)
    await sent.tell(EventType.COMPLAINED, 1, 1)
    store = MarkStore(Bucket(link, SUPPRESSION))
    at = times.render(sent.at)
    for address, scope, reason in (
        ("bob@example.test", "", SuppressReason.COMPLAINED),
        ("bob@example.test", "_", SuppressReason.UNSUBSCRIBED),
        ("bob@example.test", "news", SuppressReason.UNSUBSCRIBED),
        ("@example.test", "", SuppressReason.INVALID_DOMAIN),
    ):
        await store.add(mark_key("acme", address, scope), Mark(reason, at, "an event"), time.time())
    _, (case,), _ = await asked(config, "cust-9", capsys)
    assert [(one["scope"], one["reason"]) for one in case["marks"]] == [
        ("all mail", "complained"),
        ("all mail to example.test", "invalid_domain"),
        ("bulk mail without a stream", "unsubscribed"),
    ]
    await msg(config, {}, Output(), question("cust-9", {}), tenant="", since_s=WEEK_S, limit=20)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert any(line.startswith("gets no mail since ") and "complained" in line for line in lines)
    assert any(line.startswith("gets no mail to example.test since ") for line in lines)


async def test_a_person_reads_a_timeline(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each attempt with what was said, by whom, and what came next; no reply moves the cursor."""
    sent = Sent(link)
    await sent.accept()
    await sent.tell(EventType.DEFERRED, 1, 1, 451, next_attempt_at=4_000_000_000.0)
    await sent.park(1, 4_000_000_000.0)
    await msg(config, {}, Output(), question("cust-9", {}), tenant="", since_s=WEEK_S, limit=20)
    told = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert lines[0] == "Bob@example.test waits until 2096-10-02 07:06:40Z"
    assert lines[1] == f"{sent.person(1).message_id} acme/spring payload order-4711"
    assert lines[3].endswith("+0.0 s accepted")
    assert lines[4].endswith(
        "+1.0 s deferred attempt 1, rcpt 451 said so, at mx.example.test, next 2096-10-02 07:06:40Z"
    )
    assert lines[5].endswith("due attempt 2, waits in MTA_RETRY")


async def test_what_bounced_later_is_not_headed_delivered(
    config: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who reads only the first line is not misled."""
    sent = Sent(link)
    await sent.tell(EventType.DELIVERED, 1, 1)
    await sent.tell(EventType.OOB_BOUNCED, 1, 2, 550)
    await msg(config, {}, Output(), question("cust-9", {}), tenant="", since_s=WEEK_S, limit=20)
    first, *_ = capsys.readouterr().out.splitlines()
    assert " ".join(first.split()) == "Bob@example.test bounced later"


async def test_hashed_addresses_are_found_by_who_has_the_key(
    hashing: Config, link: Link, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the tenant's key an address is looked for by its hash; without it the answer says what to ask by."""
    sent = Sent(link, form="hash", key=hashing.hash_keys["acme"])
    await sent.tell(EventType.DELIVERED, 1, 1)
    path = hashing.origin
    question_with_key = asked_of("Bob@example.test", path, hashing, {})
    code = await msg(hashing, {}, Output(True), question_with_key, tenant="", since_s=WEEK_S, limit=20)
    (line,) = capsys.readouterr().out.splitlines()
    assert code == 0
    assert json.loads(line)["message_id"] == sent.person(1).message_id
    (path.parent / "hash" / "acme").unlink()
    without = asked_of("Bob@example.test", path, hashing, {})
    assert await msg(hashing, {}, Output(True), without, tenant="", since_s=WEEK_S, limit=20) == 1
    assert "Events do not hold addresses here" in capsys.readouterr().err


@pytest.fixture
def acme(config: Config) -> Config:
    """With a tenant: whose payload it may be is known, and the index is asked."""
    with config.origin.open("a") as file:
        file.write(_TENANT)
    return load(config.origin, {}, with_keys=False)


@pytest.fixture
def hashing(config: Config) -> Config:
    """As `acme`, with hashes in place of addresses."""
    directory = config.origin.parent
    for name, content in (("tokens/k", os.urandom(32)), ("hash/acme", os.urandom(32))):
        path: Path = directory / name
        path.parent.mkdir()
        path.touch(mode=0o600)
        path.write_bytes(content)
    with config.origin.open("a") as file:
        file.write('[events]\nrecipient = "hash"\n' + _TENANT + 'hash_key = "acme"\n')
    return load(config.origin, {})


_TENANT = """\
[tokens]
keys = { k1 = "k" }
[sources]
one = { address = "127.0.0.1", ehlo = "one.acme.test" }
[pools]
default = { one = 1 }
[tenants.acme]
pools = ["default"]
return_path = "b.acme.test"
domains."acme.test" = { require_dkim = false }
"""
