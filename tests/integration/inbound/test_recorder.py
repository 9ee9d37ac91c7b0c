"""The recorder against a real server: each fact told once, its suppression stored before anybody is answered."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import pytest
from msgspec.structs import replace

from mta.events.settings import RecipientForm
from mta.inbound.fact import Fact
from mta.inbound.recorder import Recorder, RecorderSettings
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError, JetStreamUnavailable
from mta.jetstream.pump import Pump
from mta.model.event import EventType, FeedbackPart, SmtpPart
from mta.model.outcome import BounceClass, BounceType, Scope, Verdict
from mta.model.report import FORWARDED, UNNAMED
from mta.model.suppression import Mark, SuppressReason
from mta.model.token import TokenKey
from mta.suppression.seal import Seal
from tests.fakes.nats import NatsServer, eventually, running

SETTINGS = RecorderSettings("n1", deadline_s=10.0)
MESSAGE = UUID("0199c9f0-7f10-7abc-8def-0123456789ab")
BOUNCE = Fact(
    kind=EventType.OOB_BOUNCED,
    tenant="acme",
    message_id=str(MESSAGE),
    recipient="bob@example.test",
    at=1_795_000_000.25,
    campaign="spring",
    stream="marketing",
    lane="bulk",
    payload_id="order-1",
    provider="google",
    smtp=SmtpPart("out_of_band", code=550, enhanced="5.1.1", text="no such user"),
)
CLICK = replace(BOUNCE, kind=EventType.UNSUBSCRIBED, provider="", smtp=None, detail="one_click")
COMPLAINT = replace(
    BOUNCE, kind=EventType.COMPLAINED, smtp=None, feedback=FeedbackPart("abuse", reporting_mta="mx.test")
)


class KeptSuppressions:
    """Remembers what was added; refuses as long as it is told to."""

    def __init__(self) -> None:
        self.added: list[tuple[str, str, str, Mark]] = []
        self.refusal: JetStreamError | None = None

    async def add(self, tenant: str, address: str, mark: Mark, stream: str = "") -> None:
        if self.refusal is not None:
            raise self.refusal
        self.added.append((tenant, address, stream, mark))


@asynccontextmanager
async def recording(
    link: Link, settings: RecorderSettings = SETTINGS, suppressions: KeptSuppressions | None = None
) -> AsyncIterator[Recorder]:
    pump = Pump(link)
    async with running(pump.run()):
        recorder = Recorder(pump, link, suppressions or KeptSuppressions(), settings)
        yield recorder
        await recorder.close()


async def events(link: Link) -> list[dict[str, object]]:
    """All that the stream holds, in order."""
    info = await link.api("STREAM.INFO.MTA_EVENTS")
    found = []
    for sequence in range(1, info["state"]["last_seq"] + 1):
        stored = await link.stored_message("MTA_EVENTS", sequence)
        assert stored is not None
        found.append(json.loads(stored.data) | {"subject": stored.subject})
    return found


async def test_a_fact_becomes_one_event(link: Link) -> None:
    """With its id, subject and what the report said."""
    async with recording(link) as recorder:
        assert await recorder.record(BOUNCE) is True
    [event] = await events(link)
    assert event["subject"] == "mta.event.acme.oob_bounced.google.spring"
    assert event["id"] == "agm4t4d7cb5lzdppaerukz4jvm.oob_bounced.0"
    assert (event["recipient"], event["payload_id"], event["node"]) == ("bob@example.test", "order-1", "n1")
    assert event["smtp"] == {
        "stage": "out_of_band",
        "code": 550,
        "enhanced": "5.1.1",
        "text": "no such user",
    }


async def test_h12_a_report_sent_again_is_counted_only(link: Link) -> None:
    """A thousand times, some of them at once."""
    async with recording(link) as recorder:
        found = await asyncio.gather(*(recorder.record(BOUNCE) for _ in range(500)))
        found += [await recorder.record(BOUNCE) for _ in range(500)]
        assert found.count(True) == 1
        assert recorder.replays[EventType.OOB_BOUNCED] == 999
    assert len(await events(link)) == 1


DEAD = Verdict(
    BounceClass.INVALID_RECIPIENT, "recipient", BounceType.HARD, "recipient", Scope.RECIPIENT, "r1"
)
WEAK = [
    (replace(COMPLAINT, recipient=""), COMPLAINT),
    (replace(BOUNCE, recipient=""), BOUNCE),
    (replace(BOUNCE, verdict=DEAD.in_doubt(FORWARDED)), BOUNCE),
    (replace(BOUNCE, verdict=DEAD.in_doubt(UNNAMED)), BOUNCE),
]


@pytest.mark.parametrize(("weak", "strong"), WEAK)
async def test_a_weak_report_hides_no_strong_one(link: Link, weak: Fact, strong: Fact) -> None:
    """H12: each is told once, under an id of its own, on whatever node: readers that drop what they know hear both."""
    async with recording(link) as recorder:
        assert [await recorder.record(weak) for _ in range(2)] == [True, False]
    suppressions = KeptSuppressions()
    async with recording(link, suppressions=suppressions) as other:
        assert [await other.record(fact) for fact in (weak, strong, strong, weak)] == [
            False, True, False, False,
        ]  # fmt: skip
    ids = [event["id"] for event in await events(link)]
    assert ids == [f"agm4t4d7cb5lzdppaerukz4jvm.{strong.kind}.{number}" for number in (1, 0)]
    assert len(suppressions.added) == (strong.kind is EventType.COMPLAINED)


async def test_a_weak_report_adds_nothing_to_a_strong_one(link: Link) -> None:
    async with recording(link) as recorder:
        assert await recorder.record(BOUNCE) is True
    async with recording(link) as other:
        assert [await other.record(weak) for weak, strong in WEAK if strong is BOUNCE] == [False] * 3
    assert len(await events(link)) == 1


FULL = Verdict(BounceClass.MAILBOX_FULL, "recipient", BounceType.SOFT, "recipient", Scope.RECIPIENT, "r2")
AWAY = replace(BOUNCE, kind=EventType.AUTO_REPLIED, smtp=None)


@pytest.mark.parametrize(
    ("first", "second", "number"),
    [
        (replace(BOUNCE, verdict=FULL), replace(BOUNCE, verdict=DEAD), (2, 0)),
        (
            replace(BOUNCE, verdict=FULL.in_doubt(UNNAMED)),
            replace(BOUNCE, verdict=DEAD.in_doubt(UNNAMED)),
            (3, 1),
        ),
        (AWAY, replace(AWAY, detail="moved"), (0, 2)),
    ],
)
async def test_h12_a_report_of_something_else_is_news(
    link: Link, first: Fact, second: Fact, number: tuple[int, int]
) -> None:
    """Once, on whatever node: a full mailbox that is gone the next day, an absence that becomes a farewell."""
    async with recording(link) as recorder:
        assert [await recorder.record(fact) for fact in (first, second, first, second)] == [
            True, True, False, False,
        ]  # fmt: skip
    async with recording(link) as other:
        assert [await other.record(fact) for fact in (second, first)] == [False, False]
    ids = [event["id"] for event in await events(link)]
    assert ids == [f"agm4t4d7cb5lzdppaerukz4jvm.{first.kind}.{one}" for one in number]


async def test_of_one_message_a_few_reports_are_news(link: Link) -> None:
    """One of each type of bounce, whatever the class: a token in wrong hands makes no more events than that."""
    verdicts = [
        Verdict(one, "other", kind, "recipient", Scope.RECIPIENT, "r")
        for one in BounceClass
        for kind in BounceType
    ]
    async with recording(link) as recorder:
        found = [await recorder.record(replace(BOUNCE, verdict=verdict)) for verdict in verdicts]
    assert found.count(True) == len(await events(link)) == len(BounceType) == 5


async def test_equal_facts_at_the_same_time_are_stored_once(link: Link) -> None:
    """Whoever comes second waits for the first."""
    suppressions = KeptSuppressions()
    async with recording(link, suppressions=suppressions) as recorder:
        found = await asyncio.gather(*(recorder.record(COMPLAINT) for _ in range(50)))
    assert (found.count(True), len(suppressions.added)) == (1, 1)


async def test_h12_another_node_knows_of_it(link: Link) -> None:
    """Also this one after a restart; another kind for the same message is news."""
    async with recording(link) as recorder:
        await recorder.record(BOUNCE)
    async with recording(link, RecorderSettings("n2")) as other:
        assert await other.record(BOUNCE) is False
        assert await other.record(COMPLAINT) is True
        assert other.replays == {EventType.OOB_BOUNCED: 1}
    assert [event["type"] for event in await events(link)] == ["oob_bounced", "complained"]


async def test_what_is_remembered_is_bounded(link: Link) -> None:
    """What fell out of memory is looked up again."""
    async with recording(link, RecorderSettings("n1", most_known=2)) as recorder:
        facts = [replace(BOUNCE, message_id=str(UUID(int=MESSAGE.int + n))) for n in range(3)]
        assert [await recorder.record(fact) for fact in (*facts, *facts)] == [True] * 3 + [False] * 3
        assert len(recorder._known) == 2


async def test_l03_an_unsubscribe_ends_its_stream_only(link: Link) -> None:
    """Suppressed when `record` returns; mail without a stream has a scope of its own."""
    suppressions = KeptSuppressions()
    other = replace(CLICK, message_id=str(UUID(int=5)), stream="")
    async with recording(link, suppressions=suppressions) as recorder:
        await recorder.record(CLICK)
        await recorder.record(other)
    source = "agm4t4d7cb5lzdppaerukz4jvm.unsubscribed.0"
    mark = Mark(SuppressReason.UNSUBSCRIBED, "2026-11-18T11:06:40.250000Z", source, detail="one_click")
    assert suppressions.added[0] == ("acme", "bob@example.test", "marketing", mark)
    assert suppressions.added[1][2] == "_"
    assert [event["subject"] for event in await events(link)] == [
        "mta.event.acme.unsubscribed.other.spring"
    ] * 2


async def test_a_complaint_ends_all_mail_of_the_tenant(link: Link) -> None:
    suppressions = KeptSuppressions()
    async with recording(link, suppressions=suppressions) as recorder:
        await recorder.record(COMPLAINT)
        await recorder.record(BOUNCE)
    [(tenant, address, stream, mark)] = suppressions.added
    assert (tenant, address, stream) == ("acme", "bob@example.test", "")
    assert (mark.reason, mark.detail) == (SuppressReason.COMPLAINED, "abuse")


async def test_a_second_unsubscribe_suppresses_again(link: Link) -> None:
    """Somebody may have taken the address off the list in between; a complaint is a machine's report and is not
    repeated."""
    suppressions = KeptSuppressions()
    async with recording(link, suppressions=suppressions) as recorder:
        assert [await recorder.record(fact) for fact in (CLICK, CLICK, COMPLAINT, COMPLAINT)] == [
            True, False, True, False,
        ]  # fmt: skip
    assert [mark.reason for *_, mark in suppressions.added] == ["unsubscribed", "unsubscribed", "complained"]
    assert len(await events(link)) == 2


async def test_l03_who_waits_for_another_s_unsubscribe_is_suppressed(link: Link) -> None:
    """An unsubscribe that names nobody, and a click, at once."""
    suppressions = KeptSuppressions()
    async with recording(link, suppressions=suppressions) as recorder:
        by_mail = replace(CLICK, recipient="", detail="mailto")
        found = await asyncio.gather(recorder.record(by_mail), recorder.record(CLICK))
        assert found == [True, True]
        assert [address for _, address, _, _ in suppressions.added] == ["bob@example.test"]


async def test_what_is_half_stored_is_stored_again(link: Link) -> None:
    """Without its suppression a fact is not recorded: its event may come twice, under one id, and no mark says that all
    is done."""
    suppressions = KeptSuppressions()
    suppressions.refusal = JetStreamUnavailable("down")
    async with recording(link, suppressions=suppressions) as recorder:
        with pytest.raises(JetStreamUnavailable):
            await recorder.record(CLICK)
        suppressions.refusal = None
        assert await recorder.record(CLICK) is True
    assert len(suppressions.added) == 1
    assert len({event["id"] for event in await events(link)}) == 1


async def test_n1_without_a_server_nobody_hears_that_it_was_stored(
    link: Link, nats_server: NatsServer
) -> None:
    """It is an error within the deadline; and recorded once the server is back."""
    async with recording(link, RecorderSettings("n1", deadline_s=1.0)) as recorder:
        nats_server.freeze()
        with pytest.raises(JetStreamError):
            await recorder.record(BOUNCE)
        nats_server.kill()
        await eventually(lambda: not link.is_connected)
        with pytest.raises(JetStreamError):
            await recorder.record(BOUNCE)
        await nats_server.start()

        async def is_recorded() -> bool:
            try:
                await recorder.record(BOUNCE)
            except JetStreamError:
                return False
            return True

        await eventually(is_recorded, 30)
    assert len(await events(link)) == 1


async def test_who_gives_up_waiting_stops_nothing(link: Link) -> None:
    """The next one who reports the same joins what is in work."""
    async with recording(link) as recorder:
        first = asyncio.create_task(recorder.record(BOUNCE))
        await asyncio.sleep(0)
        first.cancel()
        assert await recorder.record(BOUNCE) is False
    assert len(await events(link)) == 1


async def test_a_mark_that_cannot_be_written_fails_nobody(link: Link) -> None:
    """Event and suppression are stored: to say otherwise would bring the report again."""
    config = (await link.api("STREAM.INFO.MTA_INDEX"))["config"]
    await link.api("STREAM.UPDATE.MTA_INDEX", config | {"subjects": ["mta.index.*"]})
    async with recording(link, RecorderSettings("n1", deadline_s=4.0)) as recorder:
        assert await recorder.record(BOUNCE) is True
        assert await recorder.record(BOUNCE) is False
    assert len(await events(link)) == 1


async def test_the_recipient_is_hidden_as_configured(link: Link) -> None:
    """`events.recipient`; the list of the suppressed has to know the address."""
    suppressions = KeptSuppressions()
    keys = (TokenKey("k1", b"s" * 32),)
    settings = RecorderSettings("n1", RecipientForm.HASH, {"acme": b"k" * 16}, keys)
    async with recording(link, settings, suppressions) as recorder:
        await recorder.record(CLICK)
    [event] = await events(link)
    assert "bob@" not in json.dumps(event)
    assert len(str(event["recipient"])) == 26
    assert Seal(keys).open("acme", str(event["sealed_recipient"])) == "bob@example.test"
    assert suppressions.added[0][1] == "bob@example.test"


async def test_a_complaint_about_nobody_known_is_told(link: Link) -> None:
    """Where the index keeps no addresses and the report named none."""
    suppressions = KeptSuppressions()
    async with recording(link, suppressions=suppressions) as recorder:
        assert await recorder.record(replace(COMPLAINT, recipient="")) is True
    assert suppressions.added == []
    assert len(await events(link)) == 1
