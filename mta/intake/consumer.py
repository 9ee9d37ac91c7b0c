"""What pulls payloads: the transactional lane, what is due again, and each bulk campaign for itself.

The transactional durable and the two durables of due payloads have a standing pull, as long as there is room.
A bulk campaign is a consumer of its own: once a second the stream is asked which bulk subjects hold messages,
a durable is made for each (the same on every daemon, so making it twice is nothing), and the campaigns take
turns at small pulls, as do their tenants (`mta.intake.turns`). So nobody waits behind another. Beyond
`campaigns_at_once` all daemons take the same window of them, by the clock.

A campaign's durable is deleted only when nothing of it can be in anybody's hands: its subject is empty for a
while or its turn is over; it is paused; then nothing is unacknowledged. One deleted earlier would hand
messages in work out again as if for the first time.

How much may be asked for is told in recipients; how many a payload has is estimated from those seen before.
Left to the flow: everything about a message, from its lease to its ack.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from functools import partial
from math import ceil

from mta.intake.orders import Orders
from mta.intake.settings import IntakeSettings
from mta.intake.turns import Turns
from mta.jetstream.connection import Link
from mta.jetstream.consumers import (
    consumer_state,
    create_consumer,
    delete_consumer,
    held_subjects,
    list_consumers,
    pause_consumer,
)
from mta.jetstream.errors import JetStreamError, JetStreamUnavailable
from mta.jetstream.layout import PAYLOADS, Consumer, campaign, intake_consumers
from mta.jetstream.pull import End, Pulled, Puller
from mta.jetstream.subjects import (
    PAYLOADS_OF_LANE,
    campaign_consumer,
    is_campaign_consumer,
    parse_payload,
    unescape,
    window,
)
from mta.model.lane import Lane

OnMessage = Callable[[Pulled, Lane, bool], Awaitable[None] | None]

_HUNGER_S = 0.05
"""How often room is asked for while there was none, should nobody call `wake`."""
_AGAIN_S = 1.0
_TURN_BATCH = 8
_STAND_BATCH = {Lane.TRANSACTIONAL: 256, Lane.BULK: _TURN_BATCH}
_ORPHANS_EVERY_S = 60.0
_FIRST_GUESS = {Lane.TRANSACTIONAL: 1.0, Lane.BULK: 500.0}


def recipients_in(data: bytes) -> int:
    """Counted by the key `"email"`, less that of the sender: an estimate for how much to ask for, nothing else."""
    return max(data.count(b'"email"') - 1, 1)


class _Load:
    """Recipients a payload of one kind, as a running mean."""

    def __init__(self, guess: float) -> None:
        self._mean = guess
        self.is_guess = True

    def note(self, data: bytes) -> int:
        count = recipients_in(data)
        self._mean = count if self.is_guess else self._mean + (count - self._mean) * 0.1
        self.is_guess = False
        return count

    def recipients(self, payloads: int) -> float:
        return payloads * self._mean

    def payloads(self, recipients: float) -> int:
        return ceil(recipients / self._mean) if recipients > 0 else 0


class _Campaign:
    """One bulk subject whose durable exists, as far as we know."""

    def __init__(self, consumer: str, subject: str, puller: Puller | None) -> None:
        self.consumer = consumer
        self.subject = subject
        self.puller = puller
        self.load = _Load(_FIRST_GUESS[Lane.BULK])
        self.asked = 0
        self.guessed = 0.0  # recipients of those
        self.came = 0  # recipients, of the turn that is on
        self.is_dry = False
        self.is_gone = False
        self.seen_at = 0.0
        self.paused_until = 0.0


class Intake:
    """`run` in the owner's TaskGroup; `stop` ends the pulling, and `run` with it.

    `room(lane)` says how many more recipients may be in hand, `payload_room()` how many more bulk payloads,
    `held(name)` how many payloads of that consumer are. All three are asked often. `wake()` tells that they
    may have grown. `weight(tenant)` is what the turns of a tenant are worth.
    """

    def __init__(
        self,
        link: Link,
        settings: IntakeSettings,
        orders: Orders,
        *,
        on_message: OnMessage,
        room: Callable[[Lane], int],
        payload_room: Callable[[], int],
        held: Callable[[str], int],
        weight: Callable[[str], int],
        report: Callable[[str], None],
    ) -> None:
        self._link = link
        self._settings = settings
        self._orders = orders
        self._on_message = on_message
        self._room = room
        self._payload_room = payload_room
        self._held = held
        self._report = report
        self._loads = {(lane, due): _Load(_FIRST_GUESS[lane]) for lane in Lane for due in (False, True)}
        self._campaigns: dict[str, _Campaign] = {}
        self._leaving: dict[str, _Campaign] = {}
        self._turns = Turns(weight)
        self._pullers: set[Puller] = set()
        self._changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._stopped = asyncio.Event()

    def wake(self) -> None:
        """There may be more room now."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def run(self) -> None:
        remove = self._link.on_connection(lambda _: self.wake())
        try:
            async with asyncio.TaskGroup() as tasks:
                for consumer in intake_consumers(self._settings.ack_wait_s):
                    lane = Lane.BULK if "bulk" in consumer.name else Lane.TRANSACTIONAL
                    is_due = consumer.stream != PAYLOADS
                    tasks.create_task(self._stand(consumer, lane, is_due), name=f"pull {consumer.name}")
                tasks.create_task(self._look(), name="look for campaigns")
                tasks.create_task(self._take_turns(tasks), name="take turns")
        finally:
            remove()
            self._stopped.set()

    async def stop(self) -> None:
        """Asks for nothing more and gives back at once what the server had already sent. `run` must be
        running."""
        self._stop.set()
        self.wake()
        await asyncio.gather(*(puller.close() for puller in tuple(self._pullers)))
        await self._stopped.wait()

    # -- standing pulls ----------------------------------------------------------------------------

    async def _stand(self, consumer: Consumer, lane: Lane, is_due: bool) -> None:
        puller = await self._open(consumer.stream, consumer.name, lane, is_due)
        complained = False
        while not self._stop.is_set():
            batch = min(self._affordable(lane, is_due), _STAND_BATCH[lane])
            if not is_due and self._orders.is_lane_paused(lane, time.time()):
                batch = 0
            if batch <= 0:
                await self._hunger()
                continue
            end = await puller.pull(batch, expires_s=self._settings.pull_expires_s)
            if end.end in (End.FULL, End.EMPTY):
                complained = False
            elif not self._stop.is_set():
                if not complained and end.end is not End.LOST:
                    self._report(f"consumer {consumer.name} of {consumer.stream}: {end.end}, {end.text}")
                    complained = True
                await self._rest()
        await self._close(puller)

    def _affordable(self, lane: Lane, is_due: bool) -> int:
        payloads = self._loads[lane, is_due].payloads(self._room(lane))
        return min(payloads, self._payload_room()) if lane is Lane.BULK else payloads

    def _deliver(self, lane: Lane, is_due: bool, pulled: Pulled) -> Awaitable[None] | None:
        self._loads[lane, is_due].note(pulled.data)
        if (campaign := self._campaigns.get(pulled.consumer)) is not None:
            campaign.came += campaign.load.note(pulled.data)
        return self._on_message(pulled, lane, is_due)

    async def _open(self, stream: str, name: str, lane: Lane, is_due: bool) -> Puller:
        puller = Puller(self._link, stream, name, partial(self._deliver, lane, is_due))
        await puller.open()
        self._pullers.add(puller)
        return puller

    async def _close(self, puller: Puller) -> None:
        await puller.close()
        self._pullers.discard(puller)

    async def _hunger(self) -> None:
        try:
            async with asyncio.timeout(_HUNGER_S):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _rest(self) -> None:
        """Until connected again; while connected, what failed is tried again after a while."""
        if self._link.is_connected:
            await self._wait(_AGAIN_S)
        while not self._link.is_connected and not self._stop.is_set():
            await self._changed.wait()

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return

    # -- bulk: turns -------------------------------------------------------------------------------

    async def _take_turns(self, tasks: asyncio.TaskGroup) -> None:
        while not self._stop.is_set():
            changed = self._changed
            room = self._room(Lane.BULK) - sum(c.guessed for c in self._campaigns.values())
            is_short = False
            hungry = [name for name, campaign in self._campaigns.items() if not campaign.is_dry]
            self._turns.wait(hungry)
            waiting = [name for name in hungry if not self._campaigns[name].asked]
            while waiting:
                name = self._turns.first(waiting)
                waiting.remove(name)
                campaign = self._campaigns[name]
                most = 1 if campaign.load.is_guess else _TURN_BATCH
                batch = min(campaign.load.payloads(room), most, self._share(name))
                if batch <= 0:
                    is_short = True
                    if room <= 0 or self._free_places() <= 0:
                        break  # there is none for anybody
                    continue
                campaign.asked = batch
                campaign.guessed = campaign.load.recipients(batch)
                room -= campaign.guessed
                self._turns.charge(name, campaign.guessed)
                tasks.create_task(self._turn(campaign, batch), name=f"turn of {name}")
            if is_short:
                await self._hunger()
            else:
                await changed.wait()

    def _free_places(self) -> int:
        """For payloads, less those that were asked for."""
        return self._payload_room() - sum(campaign.asked for campaign in self._campaigns.values())

    def _share(self, name: str) -> int:
        """A campaign takes another slot only while it holds fewer than are free, and its tenant while he holds fewer
        than three times as many: if they are slow, at most half of all and three quarters of all."""
        free = self._free_places()
        of_tenant = sum(self._held(one) + self._campaigns[one].asked for one in self._turns.siblings(name))
        return min((free - self._held(name) + 1) // 2, (3 * free - of_tenant + 3) // 4)

    async def _turn(self, campaign: _Campaign, batch: int) -> None:
        """One small pull. A campaign that gave less than asked is dry until the next look at the stream. What it will
        give is guessed at first, so that its tenant's other campaigns do not ask as if it were nothing."""
        assert campaign.puller is not None
        campaign.came = 0
        try:
            end = await campaign.puller.pull(batch)
        finally:
            self._turns.charge(campaign.consumer, campaign.came - campaign.guessed)
            campaign.asked, campaign.guessed = 0, 0.0
        campaign.is_dry = end.end is not End.FULL
        campaign.is_gone = end.end is End.GONE
        self.wake()

    # -- bulk: which campaigns ---------------------------------------------------------------------

    async def _look(self) -> None:
        orphans_at = 0.0
        while not self._stop.is_set():
            try:
                held = await held_subjects(self._link, PAYLOADS, PAYLOADS_OF_LANE[Lane.BULK])
                held = {subject: count for subject, count in held.items() if not self._is_paused(subject)}
                now = time.monotonic()
                if now >= orphans_at:
                    await self._adopt_orphans()
                    orphans_at = now + _ORPHANS_EVERY_S
                await self._admit(held, now)
                await self._part(held, now)
            except JetStreamUnavailable:
                # The link reports it. What we know of the campaigns stays as it is.
                await self._rest()
            except JetStreamError as error:
                self._report(f"looking for campaigns: {error}")
            await self._wait(self._settings.look_s)
        for known in (*self._campaigns.values(), *self._leaving.values()):
            if known.puller is not None:
                await self._close(known.puller)

    def _is_paused(self, subject: str) -> bool:
        """Its consumer is let go of, as that of a campaign without messages."""
        parsed = parse_payload(subject)
        if parsed is None:
            return False
        tenant, campaign = (unescape(token) or "" for token in (parsed.tenant, parsed.campaign))
        return self._orders.paused_until(Lane.BULK, tenant, campaign, time.time()) > 0.0

    async def _admit(self, held: dict[str, int], now: float) -> None:
        """Makes the consumers of the window, and calls those that may have something new to their turn."""
        turn = int(time.time() // self._settings.turn_s)
        for subject in window(tuple(held), self._settings.campaigns_at_once, turn):
            name = campaign_consumer(subject)
            known = self._campaigns.get(name)
            if known is None or known.is_gone:
                known = await self._begin(name, subject)
            known.seen_at = now
            known.is_dry = known.is_dry and held[subject] <= self._held(name)
        self.wake()

    async def _begin(self, name: str, subject: str) -> _Campaign:
        known = self._campaigns.get(name) or self._leaving.get(name)
        if known is not None and known.paused_until > 0.0:
            await pause_consumer(self._link, PAYLOADS, name, 0.0)
        await create_consumer(self._link, campaign(subject, self._settings.ack_wait_s))
        puller = known.puller if known is not None else None
        begun = _Campaign(name, subject, puller or await self._open(PAYLOADS, name, Lane.BULK, False))
        self._leaving.pop(name, None)
        self._campaigns[name] = begun
        parsed = parse_payload(subject)
        self._turns.add(name, (unescape(parsed.tenant) or "") if parsed is not None else "")
        self.wake()
        return begun

    async def _part(self, held: dict[str, int], now: float) -> None:
        """Takes campaigns out whose turn is over or that were empty for long, and deletes what nobody
        holds."""
        for name, known in tuple(self._campaigns.items()):
            linger_s = 0.0 if known.subject in held else self._settings.linger_s
            if known.seen_at < now - linger_s and not known.asked:
                del self._campaigns[name]
                self._turns.remove(name)
                self._leaving[name] = known
        for name, known in tuple(self._leaving.items()):
            if await self._is_deleted(known, time.time()):
                del self._leaving[name]
                if known.puller is not None:
                    await self._close(known.puller)

    async def _is_deleted(self, known: _Campaign, now: float) -> bool:
        """Pauses it; and once it was paused and nothing of it is unacknowledged, deletes it."""
        state = await consumer_state(self._link, PAYLOADS, known.consumer)
        if state is None:
            return True
        if known.paused_until - self._settings.pause_s / 3 < now:
            known.paused_until = now + self._settings.pause_s
            await pause_consumer(self._link, PAYLOADS, known.consumer, known.paused_until)
            return False
        if not state.is_paused or state.ack_pending:
            return False
        await delete_consumer(self._link, PAYLOADS, known.consumer)
        return True

    async def _adopt_orphans(self) -> None:
        """Durables of campaigns that no daemon saw to its end."""
        for state in await list_consumers(self._link, PAYLOADS):
            known = state.name in self._campaigns or state.name in self._leaving
            if is_campaign_consumer(state.name) and not known:
                self._leaving[state.name] = _Campaign(state.name, state.filter_subject, None)
