from typing import Any, cast

from mta.flow.content import Contents
from mta.flow.retries import store
from mta.flow.work import Waiting
from mta.intake.decode import DecodedDue, decode_due
from mta.jetstream.pump import Pump
from mta.model.payload import LastTry
from tests.unit.flow.works import reference, work


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
