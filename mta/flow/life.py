"""The life of one payload, from the pull to the ack. Read this second, after `mta.daemon`.

    pulled -> decode -> admit -> content found and compiled -> MTA_INDEX written -> a page in the books
    -> references to the channel; each comes back settled -> noted in the books -> its event is published
    -> kept when the stream has acknowledged it
    what was deferred or parked is stored in MTA_RETRY when the pass is over -> stored when acknowledged
    everything settled, kept and stored -> the source message is acknowledged

Invariants: a source message is acknowledged only after every event and every retry message of it was; each accepted
recipient gets one terminal event; a payload that cannot be processed goes whole to MTA_DEAD with a `rejected` event,
whatever is wrong with it, so that nothing a sender writes can stop the daemon or be lost in silence. From the end of
its lease on nothing is done for a message, not even an ack: somebody else is responsible.

How mail travels is the channel's business, what it is made of that of `mta.flow.content`, what events say of `told`.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Any

import structlog

from mta.compose.workers import PoolUnusable
from mta.delivery.channel import Channel
from mta.delivery.reference import Parked, Reference, Settlement
from mta.events.publisher import EventPublisher
from mta.flow.books import Books
from mta.flow.content import Contents
from mta.flow.ending import ending_of, suppressed_of
from mta.flow.expiry import Expiry
from mta.flow.gate import Gate
from mta.flow.hand import Hand
from mta.flow.index import Index
from mta.flow.lease import Leases
from mta.flow.noted import note_of, settlement_of
from mta.flow.reception import Reception
from mta.flow.recovery import SourceNotDone, may_be_known, past_of, source_of, until_source_is_done
from mta.flow.references import expired, reference
from mta.flow.release import Releases
from mta.flow.retries import Schedules, is_stored, next_try, parked, tried
from mta.flow.settings import FlowSettings
from mta.flow.stragglers import Stragglers, set_aside
from mta.flow.telling import Telling
from mta.flow.told import Teller
from mta.flow.work import Arriving, Owed, PayloadRefused, Ref, SourceKey, Work
from mta.intake.decode import RejectCode, Rejected
from mta.intake.orders import Orders, OrderVerb, Target
from mta.jetstream.clock import StreamClock
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.pull import Pulled
from mta.jetstream.pump import Pump
from mta.ledger.arena import LedgerFull
from mta.ledger.state import RecipientState
from mta.model.lane import Lane
from mta.model.outcome import Bounced, Deferred, Delivered
from mta.pacing.action import Action
from mta.suppression.seal import Seal
from mta.suppression.suppressions import Suppressions

_STORE_AGAIN_S, _AGAIN_S, _FLUSH_S = 1.0, 5.0, 2.0
_SLICE = 32  # recipients taken in hand before the loop may turn: a large payload must not hold up a small one

log = structlog.get_logger()


class Flow:
    """`attach` the channel and the publisher, then `run` in the owner's task group. `on_message` is what intake calls,
    `on_settled` what the channel calls, `on_kept` what the publisher calls."""

    def __init__(
        self,
        settings: FlowSettings,
        link: Link,
        pump: Pump,
        contents: Contents,
        books: Books,
        orders: Orders,
        suppressions: Suppressions,
        *,
        rng: Random,
    ) -> None:
        self._settings = settings
        self._link = link
        self._pump = pump
        self._contents = contents
        self._books = books
        self._orders = orders
        self._suppressions = suppressions
        self._rng = rng
        self._teller = Teller(settings, Seal(settings.token_keys))
        self._telling = Telling(self._teller)
        self._schedules = Schedules(settings.retry, settings.shaping)
        self._reception = Reception(settings, contents, Index(link, pump, settings), pump, self._teller)
        self._leases = Leases(link, settings.intake, self._on_lease_over)
        self.gate = Gate(
            is_late=lambda: books.progress.is_late,
            unkept_bytes=lambda: self._telling.publisher.unkept_bytes,
            most_unkept=settings.max_unkept_bytes,
        )
        self.hand = Hand(settings.intake, self.gate)
        self.in_work: dict[SourceKey, Work] = {}
        self._arriving: dict[SourceKey, Arriving] = {}
        self._expiry = Expiry(self._on_expired)
        self._stragglers = Stragglers()
        self.releases = Releases(link, orders, self.in_work, self._spawn)
        self._clock = StreamClock(link)
        self._calm = {lane: asyncio.Lock() for lane in Lane}
        self._tasks: set[asyncio.Task[None]] = set()

    def attach(self, channel: Channel, publisher: EventPublisher, group: asyncio.TaskGroup) -> None:
        self._channel = channel
        self._telling.publisher = publisher
        self.hand.sendable = channel.sendable
        self._group = group

    async def run(self) -> None:
        """All that goes on beside the payloads, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._clock.run(), name="compare clocks")
            group.create_task(self._leases.run(), name="leases")
            group.create_task(self._books.progress.run(self._look_at_gate), name="snapshots")
            group.create_task(self.hand.measure(self._look_at_works), name="measure the rate")
            group.create_task(self._books.run(), name="forget what is gone")

    @property
    def works(self) -> int:
        return len(self.in_work) + len(self._arriving)

    def on_message(self, pulled: Pulled, lane: Lane, is_due: bool) -> None:
        """One delivery. Of a message that is in work already only the lease is new."""
        key = (pulled.stream, pulled.stream_sequence)
        lease = self._leases.take(key, pulled)
        if key in self.in_work:
            self.in_work[key].pulled = pulled
            self._advance(self.in_work[key])
        elif key in self._arriving:
            self._arriving[key].pulled = pulled
        else:
            arriving = self._arriving[key] = Arriving(pulled, lane, lease)
            self.hand.take(pulled, lane)
            arrival = self._arrive(key, arriving, is_due)
            arriving.task = self._spawn(arrival, f"payload {pulled.stream_sequence}")

    # -- arriving -----------------------------------------------------------------------------------------------

    async def _arrive(self, key: SourceKey, arriving: Arriving, is_due: bool) -> None:
        pulled, lane = arriving.pulled, arriving.lane
        try:
            async with self._calm[lane]:
                admitted = self._reception.judge(pulled, lane, is_due)
                await asyncio.sleep(0)
            await until_source_is_done(self._link, self.in_work, pulled, admitted, self.hand)
            received = await self._reception.receive(admitted, is_due)
            is_old = may_be_known(pulled, received.is_claimed, self._clock.time())
            past = await past_of(self._books, self._link, pulled, admitted) if is_old else None
            page = self._books.begin(source_of(pulled), admitted.payload_key, len(admitted.recipients), past)
        except PayloadRefused as refused:
            await self._refuse(key, arriving, refused.rejected)
        except SourceNotDone:
            await self._leave(key, arriving)
        except (JetStreamError, PoolUnusable, LedgerFull) as error:
            self.hand.rest(_AGAIN_S)  # so it will be with the next
            await self._leave(key, arriving, error)
        except Exception as error:
            # A payload must neither end the daemon nor come back for ever.
            log.exception("payload_failed", stream=key[0], sequence=key[1])
            text = f"internal error: {type(error).__name__}"
            await self._refuse(key, arriving, Rejected(RejectCode.SCHEMA, text))
        else:
            del self._arriving[key]
            common = self._teller.common(admitted)
            work = Work(arriving.pulled, admitted, received, common, page, arriving.lease, self.gate)
            await self._begin(work, is_due, is_known=past is not None)

    async def _refuse(self, key: SourceKey, arriving: Arriving, rejected: Rejected) -> None:
        """The whole message to MTA_DEAD, then its event, then the ack."""
        try:
            told = await self._reception.bury(arriving.pulled, arriving.lane, rejected)
            kept: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._telling.publisher.emit(*told, kept)
            await kept
            await self._link.ack_sync(arriving.lease.reply)
        except JetStreamError as error:
            await self._leave(key, arriving, error)
        else:
            self._drop(key)

    async def _leave(self, key: SourceKey, arriving: Arriving, error: Exception | None = None) -> None:
        """Nothing was done about the payload: it is to be delivered again. None: that is as it should be."""
        if error is not None:
            log.warning("payload_left", stream=key[0], sequence=key[1], error=str(error))
        self._drop(key)
        with contextlib.suppress(JetStreamError):
            await self._link.nak(arriving.lease.reply, delay_s=_AGAIN_S)

    def _drop(self, key: SourceKey) -> None:
        arriving = self._arriving.pop(key)
        self._leases.give_up(key)
        self.hand.let_go(arriving.pulled, arriving.lane)

    async def _begin(self, work: Work, is_due: bool, *, is_known: bool) -> None:
        """From here on every recipient is owed a settlement."""
        admitted, self.in_work[work.key] = work.admitted, work
        if not is_due:
            self._telling.now(work, None, self._teller.accepted(work))
            for rejected in admitted.rejected:
                self._telling.now(work, None, self._teller.rejected_recipient(work, rejected))
        positions = self._take_up(work) if is_known else range(len(admitted.recipients))
        self.hand.add(admitted.lane, work.open)
        async with self._calm[admitted.lane]:
            for start in range(0, len(positions), _SLICE):
                if work.is_lost:
                    return
                self._submit(work, positions[start : start + _SLICE], time.time())
                await asyncio.sleep(0)
            self.hand.leave_room(work.pulled, admitted.lane)
        if work.is_lost:
            return
        if work.failure is None:
            self._expiry.put(work)
        self._advance(work)

    def _take_up(self, work: Work) -> list[int]:
        """What is known of its recipients: tells what may not have been told, and returns those that are to be sent."""
        to_send: list[int] = []
        record, now = work.page.record, time.time()
        for position, recipient in enumerate(work.admitted.recipients):
            note = work.page.notes.get(position)
            settlement = settlement_of(note) if note is not None else None
            if not record.is_final(position) and not isinstance(settlement, Deferred):
                to_send.append(position)
                continue
            work.open -= 1
            if note is None or settlement is None:
                continue  # kept, or parked
            ref = reference(work, position, recipient)
            ref.provider = note.provider
            if not isinstance(settlement, Deferred) or record.is_final(position):
                told = self._teller.settled(ref, settlement, note.at, is_recovered=True)
                self._telling.now(work, position, told)
                continue
            next_ = next_try(self._schedules, self._rng, work, ref, settlement, note.at)
            at = max(next_.at, now)
            told = self._teller.settled(ref, settlement, note.at, next_.shown_at, is_recovered=True)
            self._telling.now(work, position, told)
            work.wait(at, tried(ref, note, next_), now)
        return to_send

    def _submit(self, work: Work, positions: Sequence[int], now: float) -> None:
        """A slice of its recipients: to the channel, or to their end if that is known already."""
        recipients = work.admitted.recipients
        refs = [reference(work, position, recipients[position]) for position in positions]
        work.references += refs
        ending = ending_of(work, self._orders, now, self._rng.random(), self._clock.ahead_s)
        of = ending or suppressed_of(work, self._suppressions, now)
        ended = [] if of is None else [(ref, end) for ref in refs if (end := of(ref)) is not None]
        for ref, settlement in ended:
            ref.is_settled = True
            self.on_settled(ref, settlement)
        to_send = [ref for ref in refs if not ref.is_settled] if ended else refs
        if to_send:
            self._channel.submit(to_send)

    # -- settling -----------------------------------------------------------------------------------------------

    def on_settled(self, ref: Reference[Any], settlement: Settlement) -> None:
        """Every reference comes here once. Of a payload that was lost only the books hear."""
        work: Work = ref.owner
        now = time.time()
        page, position = work.page, ref.position
        if isinstance(settlement, Deferred):
            next_ = next_try(self._schedules, self._rng, work, ref, settlement, now)
            note = note_of(settlement, ref.provider, ref.attempt, now, next_.source)
            page.settle(position, RecipientState.OPEN, note)
            if not work.is_lost:
                self._telling.now(work, position, self._teller.settled(ref, settlement, now, next_.shown_at))
                work.wait(next_.at, tried(ref, note, next_, settlement.attempt.mx_host), now)
            ref.envelope = None
        elif isinstance(settlement, Parked):
            ref.envelope = None
            work.wait(*parked(self._schedules, ref, settlement, now), now)
        else:
            settlement = self._suppressions.guard.judged(ref.domain, settlement, time.monotonic())
            is_delivered = isinstance(settlement, Delivered)
            state = RecipientState.DELIVERED if is_delivered else RecipientState.ENDED
            page.settle(position, state, note_of(settlement, ref.provider, ref.attempt, now))
            if not work.is_lost:
                self._telling.soon(ref, settlement, now)
        if work.is_lost:
            return
        work.open -= 1
        self.hand.note_settled(ref.lane, was_tried=isinstance(settlement, (Delivered, Deferred, Bounced)))
        if not work.open:
            self._advance(work)

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

    def _on_expired(self, work: Work, now: float) -> None:
        """What is on the wire is left to its outcome."""
        self._withdraw(work, lambda ref: expired(ref, now))

    def _withdraw(self, work: Work, ending: Callable[[Ref], Settlement]) -> None:
        for ref in self._channel.withdraw(work.references):
            self.on_settled(ref, ending(ref))

    def on_order(self, verb: OrderVerb, target: Target) -> None:
        """An order was given or taken back. What is on the wire is left to its outcome."""
        now = time.time()
        for work in tuple(self.in_work.values()):
            ending = ending_of(work, self._orders, now, self._rng.random(), self._clock.ahead_s)
            if ending is not None:
                self._withdraw(work, ending)
        if self._orders.is_given(verb, target) is (verb is OrderVerb.CANCEL):
            self.releases.begin(target, only_paused=verb is OrderVerb.PAUSE)

    def on_action(self, action: Action, *, is_taken_back: bool = False) -> None:
        """It holds senders: what waits of theirs is parked; or it holds them no more: what was is due at once. What it
        does to paths they find when they look; what was parked for one is due at once, too, when it is taken back."""
        aim = action.aim
        self._channel.look_again()
        if is_taken_back:
            self.releases.begin_of(aim)
        for work in tuple(self.in_work.values()):
            if aim.covers_sender(work.sender):
                self._channel.hold(tuple(work.references))

    # -- the end of a payload -----------------------------------------------------------------------------------

    def _advance(self, work: Work) -> None:
        if work.may_store(time.time()):
            work.is_storing = True
            self._act(work, self._store(work), f"store retries of {work.key[1]}")
        elif work.may_ack:
            work.is_acking = True
            self._act(work, self._ack(work), f"ack {work.key[1]}")

    def _act(self, work: Work, acting: Coroutine[Any, Any, None], name: str) -> None:
        """A task that ends with the lease."""
        task = self._spawn(acting, name)
        work.tasks.add(task)
        task.add_done_callback(work.tasks.discard)

    async def _store(self, work: Work) -> None:
        """Until the stream has it: a pass is over, and whoever began it anew would mail those who had their mail."""
        waiting, work.waiting = work.waiting, {}
        for due_at, several in waiting.items():
            while not await is_stored(
                work, due_at + self._clock.ahead_s, several, self._contents, self._pump
            ):
                await asyncio.sleep(_STORE_AGAIN_S)
                await self._link.until_connected()
            for one in several:
                work.note_stored(one.ref.position, time.time())
        work.is_storing = False
        self.releases.go_on(work)
        self._advance(work)

    async def _ack(self, work: Work) -> None:
        """Until it is confirmed: an ack whose answer was lost may not have been taken, and the message would be
        delivered again to somebody who knows nothing of this work."""
        try:
            await self._link.ack_sync(work.lease.reply)
        except JetStreamError as error:
            log.warning("ack_unconfirmed", sequence=work.key[1], error=str(error))
            work.is_acking = False
            return
        work.end()
        self._books.end(work.page)
        self._release(work)

    def _release(self, work: Work) -> None:
        self._expiry.remove(work)
        self._leases.give_up(work.key)
        del self.in_work[work.key]
        self.hand.let_go(work.pulled, work.admitted.lane)

    def _on_lease_over(self, key: SourceKey) -> None:
        """Not ours any more. Nothing of it is sent, published or acknowledged from here on."""
        arriving = self._arriving.get(key)
        if arriving is not None:
            if arriving.task is not None:
                arriving.task.cancel()
            self._drop(key)
        work = self.in_work.get(key)
        if work is not None:
            self._channel.withdraw(work.references)
            self.hand.add(work.admitted.lane, -work.open)
            work.lose()
            self._telling.drop(work)
            self._books.lose(work.page)
            self._release(work)
        log.warning("lease_over", stream=key[0], sequence=key[1])

    # -- beside -------------------------------------------------------------------------------------------------

    def _look_at_gate(self) -> None:
        if self.gate.look():
            self._channel.resume()

    def _look_at_works(self) -> None:
        """What became possible by the mere passing of time, or failed before; and what keeps others out for nothing."""
        if self.hand.is_crowded:
            for work in self._stragglers.look(self.in_work.values(), time.monotonic()):
                self._withdraw(work, set_aside(work, time.time(), self._rng.random()))
        for work in [work for work in self.in_work.values() if work.waiting or work.may_ack]:
            self._advance(work)

    def _spawn(self, coroutine: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task = self._group.create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def stop(self, timeout_s: float) -> None:
        """Nothing is on the wire any more. What has begun is brought to its end, the rest of its recipients stored for
        now; what has not begun is handed back, at once."""
        self._expiry.stop()
        try:
            async with asyncio.timeout(timeout_s):
                await self._finish()
        except TimeoutError:
            log.warning("stop_cut_short", payloads=self.works)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FLUSH_S):
                await self._books.progress.flush()
        await self._leases.hand_back()

    async def _finish(self) -> None:
        for work in [work for work in self.in_work.values() if work.has_begun]:
            self._withdraw(work, lambda ref: Parked(due_at=time.time(), reason="stopped"))
        while True:
            self._telling.flush()
            await self._telling.publisher.flush()
            if not self._tasks:
                return
            await asyncio.wait(self._tasks)
