from random import Random
from typing import Any, cast

from mta.classify.classifier import Classifier
from mta.config.load import shipped_rules
from mta.flow.content import Contents
from mta.flow.retries import next_try, store
from mta.flow.work import Waiting
from mta.intake.admission import Admitted, admit_due
from mta.intake.decode import DecodedDue, decode_due
from mta.intake.retry import carried_content
from mta.jetstream.pump import Pump
from mta.model.outcome import Attempt, Deferred, Stage
from mta.model.payload import Attachment, Content, LastTry, StoredContent
from mta.model.reply import Reply
from mta.queue.settings import RetrySettings
from tests.unit.flow.works import reference, work
from tests.unit.intake.payloads import ARRIVAL, RULES


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
    await store(one, 1_795_000_600.25, waiting, cast(Contents, stream), cast(Pump, stream))
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
        await store(one, one.admitted.send_at + 1e-6, waiting, cast(Contents, stream), cast(Pump, stream))
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
    await store(one, due_at, waiting, cast(Contents, stream), cast(Pump, stream))
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
        due = next_try(RetrySettings(jitter=0.0), Random(1), one, position, deferred, at)
        delays.append((round(due.at - at), "retry_long" in verdict.actions))
    assert delays == [(4 * 3600, True), (300, False)]
