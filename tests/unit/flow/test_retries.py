from random import Random
from typing import Any, cast

from mta.classify.classifier import Classifier
from mta.config.load import shipped_rules
from mta.delivery.reference import Parked
from mta.flow.content import Contents
from mta.flow.retries import Schedules, is_stored, next_try, parked, tried
from mta.flow.work import Waiting
from mta.intake.admission import Admitted, admit_due
from mta.intake.decode import DecodedDue, decode_due
from mta.intake.retry import carried_content
from mta.jetstream.pump import Pump
from mta.jetstream.schedule import Held, description
from mta.ledger.note import Note
from mta.model.outcome import Attempt, BounceClass, BounceType, Deferred, Scope, Stage, Verdict
from mta.model.payload import Attachment, Content, LastTry, StoredContent
from mta.model.reply import Reply
from mta.pacing.settings import PathSettings
from mta.pacing.shaping import Knobs, Override, Provider, Shaping
from mta.queue.settings import RetrySettings
from tests.unit.flow.works import reference, work
from tests.unit.intake.payloads import ARRIVAL, RULES

SCHEDULES = Schedules(RetrySettings(jitter=0.0), Shaping())
DEFERRED = Verdict(
    BounceClass.REMOTE_TEMPORARY, "remote", BounceType.SOFT, "domain", Scope.HOST, "r", actions=("retry",)
)


class Stream:
    """Notes what is kept and published, in order."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.published: list[tuple[str, bytes, str, dict[str, str]]] = []

    async def keep(self, content: object) -> str:
        self.steps.append("content")
        return "f" * 64

    async def publish_acked(self, subject: str, body: bytes, *, msg_id: str, headers: dict[str, str]) -> None:
        self.steps.append("retry")
        self.published.append((subject, body, msg_id, headers))


async def stored(count: int = 3, **changes: Any) -> Stream:
    one, stream = work(count, **changes), Stream()
    waiting = [
        Waiting(reference(one, position), 2, "one", LastTry(bounce_class="greylisted", code=451))
        for position in range(count)
    ]
    assert await is_stored(one, 1_795_000_600.25, waiting, cast(Contents, stream), cast(Pump, stream))
    return stream


async def test_content_is_kept_before_the_retry_is_published() -> None:
    """What fires later finds it; the subject is the message id, the schedule a whole second not before."""
    stream = await stored()
    assert stream.steps == ["content", "retry"]
    subject, _, msg_id, headers = stream.published[0]
    assert subject == msg_id
    assert subject.startswith("mta.retry.acme.spring-sale.")
    assert ".p7-" in subject
    assert headers["Nats-Schedule"] == "@at 2026-11-18T11:16:41Z"
    assert headers["Nats-Schedule-Target"].startswith("mta.due.bulk.acme.spring-sale.")


async def test_headers_say_who_waits_and_why() -> None:
    """So that what waits can be counted without reading it: the last refusal, or what it was parked for."""
    stream = await stored()
    headers = stream.published[0][3]
    assert (headers["Mta-Recipients"], headers["Mta-Reason"]) == ("3", "greylisted")
    one, stream = work(3), Stream()
    refs = [reference(one, position) for position in range(3)]
    refs[0].provider = refs[1].provider = "google"
    waiting = [
        parked(SCHEDULES, ref, Parked(due_at=1_795_000_600.0, reason="backed_off"), 1_795_000_000.0)[1]
        for ref in refs
    ]
    assert await is_stored(one, 1_795_000_600.0, waiting, cast(Contents, stream), cast(Pump, stream))
    held = description(stream.published[0][3])
    assert held == Held(3, {"google": 2, "": 1}, "backed_off")


async def test_what_is_stored_can_be_read_again() -> None:
    """Index, attempts, source, last class and the person come back as they went."""
    stream = await stored(
        recipients=[{"email": "a@x.test", "id": "c1", "data": {"n": 1}, "tags": ["t"]}], count=1
    )
    due = decode_due(stream.published[0][1])
    assert isinstance(due, DecodedDue), due
    (recipient,) = due.recipients
    assert (recipient.email, recipient.id, recipient.index, recipient.attempt) == ("a@x.test", "c1", 0, 2)
    assert (bytes(recipient.data), recipient.tags, recipient.source) == (b'{"n": 1}', ("t",), "one")
    assert recipient.last == LastTry(bounce_class="greylisted", code=451)
    assert due.payload.content.sha256 == "f" * 64
    assert (due.retry.payload_id, due.retry.recipients_total) == ("order-1", 1)


async def test_same_set_same_subject() -> None:
    """A repeat is the same message to the stream; another set is another."""
    first, again, other = await stored(), await stored(), await stored(2)
    assert first.published[0][0] == again.published[0][0]
    assert first.published[0][0] != other.published[0][0]


async def test_what_waits_for_its_time_carries_its_content() -> None:
    """For as long as that may be: MTA_CONTENT forgets after eight days. What was found comes back, with the name that
    errors give it."""
    one, stream = work(2, send_at="2026-12-10T18:00:00Z"), Stream()
    content = Content(subject="Hi {{ n }}", text="x", undefined="empty")
    attachments = (Attachment(name="a.txt", type="text/plain", data="eA=="),)
    for label in ("inline", "welcome/v7"):
        one.content = StoredContent(content, attachments, label)
        waiting = [Waiting(reference(one, position), 0, "", None) for position in range(2)]
        assert await is_stored(
            one, one.admitted.send_at + 1e-6, waiting, cast(Contents, stream), cast(Pump, stream)
        )
        assert "content" not in stream.steps
        due = decode_due(stream.published[-1][1])
        assert isinstance(due, DecodedDue), due
        assert carried_content(due.payload) == one.content
        again = admit_due(due, ARRIVAL, RULES)
        assert isinstance(again, Admitted)
        assert again.send_at == one.admitted.send_at


async def test_once_its_time_has_come_content_is_kept_as_any() -> None:
    """A retry is a reference, however it began."""
    one, stream = work(1, send_at="2026-12-10T18:00:00Z"), Stream()
    waiting = [Waiting(reference(one, 0), 1, "", None)]
    due_at = one.admitted.send_at + 60
    assert await is_stored(one, due_at, waiting, cast(Contents, stream), cast(Pump, stream))
    assert stream.steps == ["content", "retry"]


def test_a_rule_that_says_long_is_waited_for_long() -> None:
    """Yahoo's TSS04 (fact 55): its class alone would be tried again in minutes. What an event says is what is done."""
    one = work(2)
    at = one.admitted.recipients[0].queued_at
    delays = []
    for position, text in enumerate(("4.7.0 [TSS04] temporarily deferred", "4.3.2 try again later")):
        reply = Reply(421, (text,), text[:5])
        verdict = Classifier(shipped_rules()).classify(Stage.MAIL, reply, provider="yahoo")
        deferred = Deferred(Attempt(1, at, Stage.MAIL, reply), verdict)
        due = next_try(SCHEDULES, Random(1), one, reference(one, position), deferred, at)
        delays.append((round(due.at - at), "retry_long" in verdict.actions))
    assert delays == [(4 * 3600, True), (300, False)]


def test_a_provider_has_a_schedule_of_its_own() -> None:
    """`retry` of shaping.toml takes the place of the lane's, the last delay repeats; others keep the lane's."""
    shaping = Shaping(providers=(Provider("slow", (".slow.test",), Knobs(retry=(600.0, 7200.0))),))
    schedules = Schedules(RetrySettings(jitter=0.0), shaping)
    one = work(1)
    at = one.admitted.recipients[0].queued_at
    found = []
    for provider in ("slow", "other", ""):
        for number in (1, 2, 3):
            ref = reference(one, 0)
            ref.provider = provider
            deferred = Deferred(Attempt(number, at, Stage.MAIL), DEFERRED)
            found.append(round(next_try(schedules, Random(1), work(1), ref, deferred, at).at - at))
    assert found == [600, 7200, 7200, *2 * (300, 900, 1800)]


def test_what_holds_on_the_path_wins_over_what_is_known_without_it() -> None:
    """Once it is routed, sites and overrides have been looked at."""
    schedules = Schedules(RetrySettings(jitter=0.0), Shaping(default=Knobs(retry=(60.0,))))
    one = work(1)
    at = one.admitted.recipients[0].queued_at
    ref = reference(one, 0)
    ref.pacing = PathSettings(retry_s=(45.0,))
    deferred = Deferred(Attempt(1, at, Stage.MAIL), DEFERRED)
    assert round(next_try(schedules, Random(1), one, ref, deferred, at).at - at) == 45


def test_the_source_that_must_be_used_again_has_a_say() -> None:
    """Of one that was not routed yet."""
    shaping = Shaping(overrides=(Override(0, "x", source="one", knobs=Knobs(retry=(30.0,))),))
    schedules = Schedules(RetrySettings(), shaping)
    ref = reference(work(1), 0)
    assert schedules.of(ref).delays_s[0] == 300
    ref.source = "one"
    assert schedules.of(ref).delays_s == (30.0,)


async def test_max_age_ends_a_life_before_the_lane_does() -> None:
    """The message that is stored expires at that end, and is not tried then: no event names a next attempt."""
    one, stream = work(1), Stream()
    at = one.admitted.recipients[0].queued_at
    ref = reference(one, 0)
    ref.pacing = PathSettings(retry_s=(600.0,), max_age_s=1500.0)
    dues = []
    for now in (at, at + 1000, at + 2000):
        deferred = Deferred(Attempt(1, now, Stage.MAIL), DEFERRED)
        next_ = next_try(SCHEDULES, Random(1), work(1), ref, deferred, now)
        dues.append((round(next_.at - at), next_.shown_at > 0, round(next_.expires_at - at)))
    assert dues == [(600, True, round(-at)), (1500, False, 1500), (1500, False, 1500)]
    assert await is_stored(
        one, next_.at, [tried(ref, note(), next_)], cast(Contents, stream), cast(Pump, stream)
    )
    due = decode_due(stream.published[0][1])
    assert isinstance(due, DecodedDue)
    assert round(due.retry.expires_at.timestamp() - at) == 1500


def test_max_age_does_not_lengthen() -> None:
    """What the sender or the lane says is the longest."""
    one = work(1)
    ref = reference(one, 0)
    ref.pacing = PathSettings(max_age_s=30 * 86_400.0)
    assert (SCHEDULES.end(ref), SCHEDULES.early_end(ref)) == (one.admitted.expires_at, 0.0)


def test_who_is_parked_expires_on_time() -> None:
    """A path that is shut keeps nobody beyond his end."""
    one = work(1)
    at = one.admitted.recipients[0].queued_at
    ref = reference(one, 0)
    ref.pacing = PathSettings(max_age_s=1500.0)
    due_at, waiting = parked(SCHEDULES, ref, Parked(at + 600, "throttled"), at)
    assert (round(due_at - at), waiting.expires_at) == (600, 0.0)
    due_at, waiting = parked(SCHEDULES, ref, Parked(at + 3600, "throttled"), at + 600)
    assert (round(due_at - at), round(waiting.expires_at - at)) == (1500, 1500)


def note() -> Note:
    return Note(None, 1, 0.0)


def test_the_source_is_told_where_the_next_attempt_depends_on_it() -> None:
    """Greylisting stays with it, a block moves on from it, and else any will do."""
    one = work(3)
    at = one.admitted.recipients[0].queued_at
    sources = []
    for position, (stage, text) in enumerate(
        (
            (Stage.RCPT, "4.7.1 greylisted, try again later"),
            (Stage.MAIL, "4.7.1 your IP 192.0.2.1 is listed at zen.spamhaus.org"),
            (Stage.RCPT, "4.3.2 try again later"),
        )
    ):
        reply = Reply(450, (text,), text[:5])
        verdict = Classifier(shipped_rules()).classify(stage, reply)
        deferred = Deferred(Attempt(1, at, stage, reply, source="a1"), verdict)
        due = next_try(SCHEDULES, Random(1), one, reference(one, position), deferred, at)
        sources.append((verdict.bounce_class.value, due.source))
    assert sources == [("greylisted", "a1"), ("ip_blocked", "a1"), ("remote_temporary", "")]
