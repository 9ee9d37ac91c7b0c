"""The life of one payload, from the pull to the ack. Read this second, after `mta.daemon`.

    pulled -> decode -> admit -> content found and compiled -> MTA_INDEX written -> references to the channel
    each reference comes back settled -> its event is published -> kept when the stream has acknowledged it
    what was deferred or parked is stored in MTA_RETRY when the pass is over -> stored when acknowledged
    everything settled, kept and stored -> the source message is acknowledged

Invariants: a source message is acknowledged only after every event and every retry message of it was; each accepted
recipient gets one terminal event; a payload that cannot be processed goes whole to MTA_DEAD with a `rejected` event,
whatever is wrong with it, so that nothing a sender writes can stop the daemon or be lost in silence.

It leaves to the channel how mail travels, to `mta.flow.content` what it is made of, to `mta.flow.told` what events say.
"""

import asyncio
import contextlib
import time
from collections.abc import Coroutine, Iterable
from random import Random
from typing import Any

import structlog

from mta.compose.spec import Addressee
from mta.compose.workers import PoolUnusable
from mta.delivery.channel import Channel
from mta.delivery.reference import Parked, Reference, Settlement
from mta.events.publisher import EventPublisher
from mta.flow.content import Contents
from mta.flow.expiry import Expiry
from mta.flow.index import Index
from mta.flow.reception import Reception
from mta.flow.retries import store
from mta.flow.settings import FlowSettings
from mta.flow.told import Teller, Told
from mta.flow.work import Owed, PayloadRefused, Ref, SourceKey, Waiting, Work
from mta.intake.admission import AdmittedRecipient
from mta.intake.decode import RejectCode, Rejected
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.pull import Pulled
from mta.jetstream.pump import Pump
from mta.ledger.state import RecipientState
from mta.model.lane import Lane
from mta.model.outcome import BounceClass, Deferred, Delivered, Expired
from mta.model.payload import LastTry
from mta.queue.schedule import Expire, next_due

_LEAST_ROOM = 2_000  # recipients to ask for while the rate is not known yet
_RATE_EVERY_S = 1.0
_STORE_AGAIN_S = 1.0
_TOLD_AT_ONCE, _TOLD_WITHIN_S = 32, 0.005
_SLICE = 32  # recipients taken in hand before the loop may turn: a large payload must not hold up a small one

log = structlog.get_logger()


class Flow:
    """`attach` the channel and the publisher, then `run` in the owner's task group. `on_message` is what intake calls,
    `on_settled` what the channel calls, `on_kept` what the publisher calls."""

    def __init__(
        self, settings: FlowSettings, link: Link, pump: Pump, contents: Contents, *, rng: Random
    ) -> None:
        self._settings = settings
        self._link = link
        self._pump = pump
        self._contents = contents
        self._rng = rng
        self._teller = Teller(settings)
        self._reception = Reception(settings, contents, Index(link, pump, settings), pump, self._teller)
        self._works: dict[SourceKey, Work] = {}
        self._arriving: dict[SourceKey, Pulled] = {}
        self._in_hand = dict.fromkeys(Lane, 0)
        self._payloads = dict.fromkeys(Lane, 0)
        self._by_consumer: dict[str, int] = {}
        self._expiry = Expiry(self._on_expired)
        self._calm = {lane: asyncio.Lock() for lane in Lane}
        self._untold: list[tuple[Ref, Settlement, float]] = []
        self._telling: asyncio.TimerHandle | None = None
        self._settled = 0
        self._rate = 0.0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_stopping = False

    def attach(self, channel: Channel, publisher: EventPublisher, group: asyncio.TaskGroup) -> None:
        self._channel = channel
        self._publisher = publisher
        self._group = group

    async def run(self) -> None:
        """Renews what is in work and measures the rate, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._renew_all(), name="renew what is in work")
            group.create_task(self._measure(), name="measure the rate")

    # -- what intake asks ---------------------------------------------------------------------------------------

    @property
    def works(self) -> int:
        return len(self._works) + len(self._arriving)

    @property
    def rate(self) -> float:
        """Recipients settled in the last second or so."""
        return self._rate

    def room(self, lane: Lane) -> int:
        """How many more recipients may be in hand: about three seconds' worth of what can be sent."""
        if self._is_stopping or self._publisher.unkept_bytes >= self._settings.max_unkept_bytes:
            return 0
        if lane is Lane.TRANSACTIONAL:
            return self._settings.intake.transactional_recipients - self._in_hand[lane]
        wanted = max(_LEAST_ROOM, int(self._rate * self._settings.intake.in_hand_s))
        return wanted - self._channel.sendable(lane)

    def payload_room(self) -> int:
        """How many more bulk payloads."""
        return self._settings.intake.payloads_in_work - self._payloads[Lane.BULK]

    def held(self, consumer: str) -> int:
        return self._by_consumer.get(consumer, 0)

    def on_message(self, pulled: Pulled, lane: Lane, is_due: bool) -> None:
        """One delivery. Of a message that is in work already only the reply subject is new."""
        key = (pulled.stream, pulled.stream_sequence)
        work = self._works.get(key)
        if work is not None:
            work.pulled = pulled
            self._advance(work)
        elif key in self._arriving:
            self._arriving[key] = pulled
        else:
            self._arriving[key] = pulled
            self._payloads[lane] += 1
            self._by_consumer[pulled.consumer] = self.held(pulled.consumer) + 1
            self._spawn(self._arrive(key, lane, is_due), f"payload {pulled.stream_sequence}")

    # -- arriving -----------------------------------------------------------------------------------------------

    async def _arrive(self, key: SourceKey, lane: Lane, is_due: bool) -> None:
        pulled = self._arriving[key]
        try:
            async with self._calm[lane]:
                admitted = self._reception.judge(pulled, lane, is_due)
                await asyncio.sleep(0)
            work = await self._reception.admit(pulled, admitted, is_due)
        except PayloadRefused as refused:
            await self._refuse(key, lane, refused.rejected)
        except (JetStreamError, PoolUnusable) as error:
            # Nothing was found out about the payload. Not acknowledged, it is delivered again after ack_wait.
            self._leave(key, lane, error)
        except Exception as error:
            # A payload must neither end the daemon nor come back for ever.
            log.exception("payload_failed", stream=key[0], sequence=key[1])
            text = f"internal error: {type(error).__name__}"
            await self._refuse(key, lane, Rejected(RejectCode.SCHEMA, text))
        else:
            work.pulled = self._arriving.pop(key)
            await self._begin(work, is_due)

    async def _refuse(self, key: SourceKey, lane: Lane, rejected: Rejected) -> None:
        """The whole message to MTA_DEAD, then its event, then the ack."""
        try:
            told = await self._reception.bury(self._arriving[key], lane, rejected)
            kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._publisher.emit(*told, kept)
            await kept
            await self._link.ack_sync(self._arriving[key].reply)
        except JetStreamError as error:
            self._leave(key, lane, error)
        else:
            self._let_go(self._arriving.pop(key), lane)

    def _leave(self, key: SourceKey, lane: Lane, error: Exception) -> None:
        log.warning("payload_left", stream=key[0], sequence=key[1], error=str(error))
        self._let_go(self._arriving.pop(key), lane)

    async def _begin(self, work: Work, is_due: bool) -> None:
        """From here on every recipient is owed a settlement."""
        admitted = work.admitted
        self._works[work.key] = work
        self._in_hand[admitted.lane] += work.open
        if not is_due:
            self._tell(work, None, self._teller.accepted(work))
            for rejected in admitted.rejected:
                self._tell(work, None, self._teller.rejected_recipient(work, rejected))
        async with self._calm[admitted.lane]:
            for start in range(0, len(admitted.recipients), _SLICE):
                self._submit(work, start, time.time())
                await asyncio.sleep(0)
        if work.failure is None:
            self._expiry.put(work)
        self._advance(work)

    def _submit(self, work: Work, start: int, now: float) -> None:
        """A slice of its recipients: to the channel, or to their end if that is known already."""
        recipients = work.admitted.recipients[start : start + _SLICE]
        refs = [_reference(work, start + offset, recipient) for offset, recipient in enumerate(recipients)]
        work.references += refs
        if work.failure is not None:
            for ref in refs:
                self._settle_here(ref, work.failure)
        elif work.admitted.expires_at <= now:
            for ref in refs:
                self._settle_here(ref, _expired(ref, now))
        else:
            self._channel.submit(refs)

    # -- settling -----------------------------------------------------------------------------------------------

    def on_settled(self, ref: Reference[Any], settlement: Settlement) -> None:
        """Every reference comes here once."""
        work: Work = ref.owner
        now = time.time()
        work.open -= 1
        self._in_hand[ref.lane] -= 1
        self._settled += 1
        if isinstance(settlement, Delivered):
            work.record.move(ref.position, RecipientState.DOT)
            work.record.move(ref.position, RecipientState.DELIVERED)
            self._tell_soon(ref, settlement, now)
        elif isinstance(settlement, Deferred):
            self._defer(ref, settlement, now)
        elif isinstance(settlement, Parked):
            ref.envelope = None
            recipient = work.admitted.recipients[ref.position]
            work.wait(settlement.due_at, Waiting(ref, recipient.attempt, recipient.source, recipient.last))
        else:
            work.record.move(ref.position, RecipientState.ENDED)
            self._tell_soon(ref, settlement, now)
        if not work.open:
            self._advance(work)

    def _settle_here(self, ref: Ref, settlement: Settlement) -> None:
        ref.is_settled = True
        self.on_settled(ref, settlement)

    def _defer(self, ref: Ref, deferred: Deferred, now: float) -> None:
        """Its event at once; itself into MTA_RETRY when the pass is over."""
        work = ref.owner
        admitted = work.admitted
        recipient = admitted.recipients[ref.position]
        attempt, verdict = deferred.attempt, deferred.verdict
        retry = self._settings.retry
        due = next_due(
            retry.of(admitted.lane),
            attempt=attempt.number,
            queued_at=recipient.queued_at,
            now=now,
            jitter=retry.jitter,
            rng=self._rng.random,
            bounce_class=verdict.bounce_class,
            greylist_s=retry.greylist_s,
            expires_at=admitted.expires_at,
        )
        is_last = isinstance(due, Expire)
        due_at = due.at if is_last else work.due_together(due.at, attempt.number, verdict.bounce_class)
        told = self._teller.settled(ref, deferred, now, next_attempt_at=0.0 if is_last else due_at)
        self._tell(work, ref.position, told)
        ref.envelope = None
        reply = attempt.reply
        last = LastTry(
            bounce_class=verdict.bounce_class,
            stage=attempt.stage,
            code=reply.code if reply is not None else 0,
            enhanced=reply.enhanced if reply is not None else "",
            text=reply.text[:200] if reply is not None else attempt.detail[:200],
            mx_host=attempt.mx_host,
        )
        keeps_source = not isinstance(due, Expire) and due.keep_source
        source = attempt.source if keeps_source else ""
        work.wait(due_at, Waiting(ref, attempt.number, source, last))

    def on_kept(self, tokens: Iterable[object]) -> None:
        """Events of these works are in the stream."""
        for token in tokens:
            if isinstance(token, asyncio.Future):
                if not token.done():
                    token.set_result(None)
                continue
            assert isinstance(token, Owed)
            token.work.note_kept(token.position)
            if token.work.may_ack:
                self._advance(token.work)

    def _tell_soon(self, ref: Ref, settlement: Settlement, now: float) -> None:
        """Several at once: what makes events is cold each time if it runs between two replies, and costs twice."""
        ref.owner.note_told(ref.position)
        self._untold.append((ref, settlement, now))
        if len(self._untold) >= _TOLD_AT_ONCE:
            self._tell_all()
        elif self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(_TOLD_WITHIN_S, self._tell_all)

    def _tell_all(self) -> None:
        if self._telling is not None:
            self._telling.cancel()
            self._telling = None
        untold, self._untold = self._untold, []
        told = [self._teller.settled(ref, settlement, at) for ref, settlement, at in untold]
        for (ref, _, _), (subject, line) in zip(untold, told, strict=True):
            ref.envelope = None
            self._publisher.emit(subject, line, Owed(ref.owner, ref.position))

    def _tell(self, work: Work, position: int | None, told: Told) -> None:
        work.note_told(position)
        self._publisher.emit(*told, Owed(work, position))

    def _on_expired(self, work: Work, now: float) -> None:
        """What is on the wire is left to its outcome."""
        for ref in self._channel.withdraw(work.references):
            self.on_settled(ref, _expired(ref, now))

    # -- the end of a payload -----------------------------------------------------------------------------------

    def _advance(self, work: Work) -> None:
        if work.may_store:
            work.is_storing = True
            self._spawn(self._store(work), f"store retries of {work.key[1]}")
        elif work.may_ack:
            work.is_acking = True
            self._spawn(self._ack(work), f"ack {work.key[1]}")

    async def _store(self, work: Work) -> None:
        """Until the stream has it: a pass is over, and whoever began it anew would mail those who had their mail."""
        waiting, work.waiting = work.waiting, {}
        for due_at, several in waiting.items():
            while not await self._is_stored(work, due_at, several):
                await asyncio.sleep(_STORE_AGAIN_S)
                await self._link.until_connected()
            for one in several:
                work.note_stored(one.ref.position)
        work.is_storing = False
        self._advance(work)

    async def _is_stored(self, work: Work, due_at: float, waiting: list[Waiting]) -> bool:
        try:
            await store(work, due_at, waiting, self._contents, self._pump)
        except JetStreamError as error:
            log.warning("store_delayed", sequence=work.key[1], error=str(error))
            return False
        return True

    async def _ack(self, work: Work) -> None:
        """Until it is confirmed: an ack whose answer was lost may not have been taken, and the message would be
        delivered again to somebody who knows nothing of this work."""
        try:
            await self._link.ack_sync(work.pulled.reply)
        except JetStreamError as error:
            log.warning("ack_unconfirmed", sequence=work.key[1], error=str(error))
            work.is_acking = False
            return
        work.end()
        self._expiry.remove(work)
        del self._works[work.key]
        self._let_go(work.pulled, work.admitted.lane)

    def _let_go(self, pulled: Pulled, lane: Lane) -> None:
        self._payloads[lane] -= 1
        left = self._by_consumer[pulled.consumer] - 1
        if left:
            self._by_consumer[pulled.consumer] = left
        else:
            del self._by_consumer[pulled.consumer]

    # -- beside -------------------------------------------------------------------------------------------------

    async def _renew_all(self) -> None:
        while True:
            await asyncio.sleep(self._settings.intake.renew_s)
            pulled = [*self._arriving.values(), *(work.pulled for work in self._works.values())]
            await asyncio.gather(*(self._renew(one) for one in pulled))

    async def _renew(self, pulled: Pulled) -> None:
        try:
            await self._link.progress(pulled.reply)
        except JetStreamError as error:
            log.debug("renewal_failed", sequence=pulled.stream_sequence, error=str(error))

    async def _measure(self) -> None:
        """The rate falls slowly and rises at once, so that a pause does not starve what follows."""
        while True:
            await asyncio.sleep(_RATE_EVERY_S)
            settled, self._settled = self._settled, 0
            self._rate = max(settled / _RATE_EVERY_S, self._rate * 0.8)
            for work in [work for work in self._works.values() if work.may_ack]:
                self._advance(work)

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        task = self._group.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def stop(self, timeout_s: float) -> None:
        """Nothing is on the wire any more. What has begun is brought to its end, the rest of its recipients stored for
        now; what has not begun is handed back, at once."""
        self._is_stopping = True
        self._expiry.stop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._finish()
        except TimeoutError:
            log.warning("stop_cut_short", payloads=self.works)
        for pulled in [*self._arriving.values(), *(work.pulled for work in self._works.values())]:
            with contextlib.suppress(JetStreamError):
                await self._link.nak(pulled.reply)

    async def _finish(self) -> None:
        for work in [work for work in self._works.values() if work.has_begun]:
            now = time.time()
            for ref in self._channel.withdraw(work.references):
                self.on_settled(ref, Parked(due_at=now, reason="stopped"))
        while True:
            self._tell_all()
            await self._publisher.flush()
            if not self._tasks:
                return
            await asyncio.wait(self._tasks)


def _reference(work: Work, position: int, recipient: AdmittedRecipient) -> Ref:
    admitted = work.admitted
    person = recipient.recipient
    addressee = Addressee(
        index=recipient.index,
        key=recipient.key,
        email=recipient.mailbox.text,
        name=person.name,
        recipient_id=person.id,
        data=bytes(person.data),
    )
    return Reference(
        work,
        position,
        spec=work.spec,
        addressee=addressee,
        domain=recipient.mailbox.domain,
        lane=admitted.lane,
        turn=f"{admitted.tenant}/{admitted.campaign}",
        pool=admitted.pool,
        tls=admitted.payload.tls,
        expires_at=admitted.expires_at,
        attempt=recipient.attempt,
        source=recipient.source,
        is_dry_run=admitted.payload.dry_run,
    )


def _expired(ref: Ref, now: float) -> Expired:
    last = ref.owner.admitted.recipients[ref.position].last
    known = last is not None and last.bounce_class in BounceClass.__members__.values()
    return Expired(now, BounceClass(last.bounce_class) if known and last is not None else None)
