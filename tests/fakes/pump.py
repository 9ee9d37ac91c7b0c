"""A pump that keeps what it is given and answers when the test says so."""

from collections.abc import Callable

from msgspec import Struct

from mta.jetstream.pump import Failure, PubAck, PublishFailed

OnDone = Callable[[PubAck | PublishFailed], None]


class Published(Struct, eq=False):
    subject: str
    body: bytes
    msg_id: str
    headers: dict[str, str]
    on_done: OnDone
    token: str


class FakePump:
    """`waiting` is what has no answer yet, `stored` what was acknowledged, the same id once. With `is_prompt` all is
    acknowledged at once; with `is_full` nothing is taken."""

    def __init__(self, *, is_prompt: bool = False) -> None:
        self.waiting: list[Published] = []
        self.stored: list[Published] = []
        self.published = 0
        self.is_prompt = is_prompt
        self.is_full = False

    def publish(
        self,
        subject: str,
        body: bytes,
        *,
        msg_id: str,
        headers: dict[str, str] | None = None,
        on_done: OnDone,
        deadline_s: float = float("inf"),
    ) -> str:
        if self.is_full:
            raise BufferError("full")
        self.published += 1
        self.waiting.append(Published(subject, body, msg_id, headers or {}, on_done, str(self.published)))
        if self.is_prompt:
            self.ack()
        return str(self.published)

    def ack(self, number: int = 0) -> None:
        """The one at `number` of `waiting` is stored."""
        message = self.waiting.pop(number)
        is_duplicate = not self._store(message)
        message.on_done(PubAck("MTA_EVENTS", len(self.stored), is_duplicate))

    def _store(self, message: Published) -> bool:
        """False: it was there."""
        if any(message.msg_id == earlier.msg_id for earlier in self.stored):
            return False
        self.stored.append(message)
        return True

    def withdraw(self, token: str) -> bool:
        """Nobody is told of it any more."""
        before = len(self.waiting)
        self.waiting = [message for message in self.waiting if message.token != token]
        return len(self.waiting) < before

    def refuse(
        self, number: int = 0, failure: Failure = Failure.DEADLINE, *, is_stored: bool = False
    ) -> None:
        """The one at `number` of `waiting` is reported as not stored; `is_stored`: the ack was lost."""
        message = self.waiting.pop(number)
        if is_stored:
            self._store(message)
        message.on_done(PublishFailed(failure, "refused", is_unknown=is_stored))
