"""What was learnt of a recipient after delivery, stored before anybody is answered: event, suppression, mark.

A fact is told once for each message, kind and aspect, however often it is reported (a report sent a thousand times, a
link clicked again), on whatever node and after any restart. The aspect is a bounce's type or an answer's sort: a
mailbox that was full may be gone the next day. So there are at most five facts of a kind, and as many weak ones.
`mta.seen.<message>.<kind>` in MTA_INDEX, with `_<number>` behind it for all but the first aspect, says that one was
recorded. The mark is written last. So what dies in between is recorded again, its event under the same id, and never
lost; and what is marked needs nothing more. A weak fact, for which nobody can be suppressed, has a mark and an event id
of its own: it is told where nothing is known of its kind and aspect yet, and keeps no other from being heard.

An unsubscribe is a person's act, not a report: known or not, it is suppressed again. Whoever was taken off the list of
suppressed addresses and clicks once more has to be heard.

Left to others: whether a fact is to be believed, who it is about, and what bounces mean for an address.
"""

import asyncio
from collections import Counter, OrderedDict
from typing import Protocol

import structlog
from msgspec import Struct

from mta.events.encode import CommonFields, Person, encode, late_event, late_id, short_id
from mta.events.settings import RecipientForm
from mta.inbound.fact import OTHER, Fact
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError, Unconfirmed
from mta.jetstream.layout import INDEX
from mta.jetstream.pump import Pump
from mta.jetstream.subjects import event_subject, seen_subject
from mta.model import times
from mta.model.event import EventType
from mta.model.suppression import Mark, SuppressReason
from mta.model.token import TokenKey
from mta.suppression.key import unsubscribe_scope
from mta.suppression.seal import Seal

_SUPPRESSING = {
    EventType.COMPLAINED: SuppressReason.COMPLAINED,
    EventType.UNSUBSCRIBED: SuppressReason.UNSUBSCRIBED,
}

log = structlog.get_logger()


class RecorderSettings(Struct, frozen=True):
    """`hash_keys` are by tenant; with `tokens` addresses are sealed that events are not to tell. Within `deadline_s` a
    fact is stored, or whoever reported it hears that it is not. `most_known` marks are remembered, at about 200 bytes
    each."""

    node: str
    form: RecipientForm = RecipientForm.FULL
    hash_keys: dict[str, bytes] = {}
    tokens: tuple[TokenKey, ...] = ()
    deadline_s: float = 20.0
    most_known: int = 50_000


class Suppressions(Protocol):
    """Where addresses are put that get no more mail."""

    async def add(self, tenant: str, address: str, mark: Mark, stream: str = "") -> None:
        """Stored when it returns; JetStreamError when it is not."""
        ...


class Recorder:
    """Its owner ends what is in work with `close`."""

    def __init__(
        self, pump: Pump, link: Link, suppressions: Suppressions, settings: RecorderSettings
    ) -> None:
        self._pump = pump
        self._link = link
        self._suppressions = suppressions
        self._settings = settings
        self._seal = Seal(settings.tokens)
        self._known: OrderedDict[str, None] = OrderedDict()
        self._running: dict[str, asyncio.Task[bool]] = {}
        self.replays: Counter[EventType] = Counter()

    async def record(self, fact: Fact) -> bool:
        """True: stored now. False: it was known, and is counted. JetStreamError when it could not be stored. Equal
        facts at the same time are stored once; a caller that is cancelled does not stop what others wait for."""
        seen = _seen(fact, is_weak=fact.is_weak)
        task = self._running.get(seen)
        is_first = task is None
        if task is None:
            task = asyncio.create_task(self._in_time(seen, fact), name=f"record {seen}")
            self._running[seen] = task
            task.add_done_callback(lambda done: self._ended(seen, done))
        is_new = await asyncio.shield(task) and is_first
        if not is_new:
            self.replays[fact.kind] += 1
        return is_new

    async def close(self) -> None:
        """What is not stored by now is not: nobody was told that it is."""
        tasks = tuple(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _ended(self, seen: str, task: asyncio.Task[bool]) -> None:
        del self._running[seen]
        if not task.cancelled():
            task.exception()  # or asyncio complains when nobody waits for it any more

    async def _in_time(self, seen: str, fact: Fact) -> bool:
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                return await self._record(seen, fact)
        except TimeoutError as error:
            if isinstance(error, JetStreamError):
                raise
            raise Unconfirmed(f"{seen}: not recorded in time") from error

    async def _record(self, seen: str, fact: Fact) -> bool:
        if await self._is_known(seen) or (fact.is_weak and await self._is_known(_seen(fact, is_weak=False))):
            if fact.kind is EventType.UNSUBSCRIBED:
                await self._suppress(fact)
            return False
        await self._tell(fact)
        await self._suppress(fact)
        await self._mark(seen, fact)
        return True

    async def _is_known(self, seen: str) -> bool:
        if seen in self._known:
            self._known.move_to_end(seen)
            return True
        if await self._link.last_message(INDEX, seen, leader=True) is None:
            return False
        log.info("known_before", subject=seen)
        self._remember(seen)
        return True

    async def _tell(self, fact: Fact) -> None:
        settings = self._settings
        common = CommonFields(
            node=settings.node,
            tenant=fact.tenant,
            campaign=fact.campaign,
            stream=fact.stream,
            lane=fact.lane,
            payload_id=fact.payload_id,
            payload_key=b"",
            from_domain=fact.from_domain,
            form=settings.form,
            hash_key=settings.hash_keys.get(fact.tenant, b""),
        )
        domain = fact.recipient.rpartition("@")[2]
        person = Person(fact.message_id, fact.recipient, fact.recipient, domain, fact.recipient_id)
        provider = fact.provider or OTHER
        event = late_event(
            fact.kind,
            common,
            person,
            at=fact.at,
            provider=provider,
            verdict=fact.verdict,
            smtp=fact.smtp,
            feedback=fact.feedback,
            detail=fact.detail,
            number=_number(fact, is_weak=fact.is_weak),
            sealed=""
            if settings.form is RecipientForm.FULL
            else self._seal.seal(fact.tenant, fact.recipient),
        )
        await self._pump.publish_acked(
            event_subject(fact.tenant, fact.kind, provider, fact.campaign),
            encode(event) + b"\n",
            msg_id=event.id,
            headers={"Mta-Events": "1"},
            deadline_s=settings.deadline_s,
        )

    async def _suppress(self, fact: Fact) -> None:
        """A complaint ends all mail of the tenant, an unsubscribe that of its stream: receipts go on after somebody
        left the newsletter."""
        reason = _SUPPRESSING.get(fact.kind)
        if reason is None:
            return
        if not fact.recipient:
            log.warning(
                "suppressed_nobody", reason=str(reason), tenant=fact.tenant, message_id=fact.message_id
            )
            return
        detail = fact.detail if fact.feedback is None else fact.feedback.feedback_type
        mark = Mark(reason, times.render(fact.at), late_id(fact.kind, fact.message_id), detail=detail)
        stream = unsubscribe_scope(fact.stream) if reason is SuppressReason.UNSUBSCRIBED else ""
        await self._suppressions.add(fact.tenant, fact.recipient, mark, stream)

    async def _mark(self, seen: str, fact: Fact) -> None:
        """Without it everything is stored all the same, and a report that comes again is told again, under the same
        id: no reason to refuse what was just recorded."""
        self._remember(seen)
        body = times.render(fact.at).encode()
        try:
            await self._pump.publish_acked(seen, body, msg_id=seen, deadline_s=self._settings.deadline_s / 4)
        except JetStreamError as error:
            log.warning("mark_unwritten", subject=seen, error=str(error))

    def _remember(self, seen: str) -> None:
        self._known[seen] = None
        self._known.move_to_end(seen)
        if len(self._known) > self._settings.most_known:
            self._known.popitem(last=False)


def _seen(fact: Fact, *, is_weak: bool) -> str:
    number = _number(fact, is_weak=is_weak)
    return seen_subject(short_id(fact.message_id), f"{fact.kind}_{number}" if number else fact.kind)


def _number(fact: Fact, *, is_weak: bool) -> int:
    """Of the event among those of its message and kind."""
    return 2 * fact.aspect + is_weak
