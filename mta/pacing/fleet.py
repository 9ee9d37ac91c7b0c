"""The nodes of a fleet find each other, one of them is the broker of what they share, and all keep to its leases.

All of it is in MTA_CONTROL and one subject: each node is there by a key that vanishes when it is not renewed
(`node.<name>`), the office of the broker is another one (`broker`), and once every few seconds each node asks for all
its limits in one request (`mta.control.any.budget`). Nothing of NATS is on the path of a message. Alone, a node asks
nobody. What is a fair share is `mta.pacing.broker`'s business, what a lease allows `mta.pacing.share`'s.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
import structlog
from msgspec import Struct

from mta.jetstream.connection import Link
from mta.jetstream.errors import Conflict, JetStreamError
from mta.jetstream.kv import Bucket
from mta.jetstream.service import ANY, answer
from mta.jetstream.subjects import control_subject, kv_key, unescape
from mta.model import times
from mta.pacing.broker import ASK_S, LEASE_S, Answer, Broker, Want
from mta.pacing.share import Shares

NODE, OFFICE = "node", "broker"
BUDGET = "budget"
_PRESENCE_S, _PRESENCE_TTL_S = 2.0, 6.0
_OFFICE_S, _OFFICE_TTL_S = 0.75, 3.0
_OFFICE_VALID_S = 1.5
"""A broker that could not renew its office for so long grants nothing more: then its leases end before the next one's
begin."""
_ANSWER_S = 1.0
_LOOK_S = 0.25

log = structlog.get_logger()


class Governed(Protocol):
    """Whoever keeps to the limits here."""

    def wants(self) -> Sequence[Want]:
        """All limits at work, the same under the same name on every node."""
        ...

    def share(self) -> None:
        """Keep to the shares as they are now."""
        ...

    @property
    def is_waiting(self) -> bool:
        """For a share of something that was never asked for: an answer would be welcome at once."""
        ...


class Presence(Struct, frozen=True, omit_defaults=True):
    """Of a node, as it lies in MTA_CONTROL."""

    started: str
    version: str = ""


class _Office(Struct, frozen=True):
    """Who is the broker, as it lies in MTA_CONTROL."""

    node: str


class _Asked(Struct, frozen=True, array_like=True):
    node: str
    wants: tuple[Want, ...]
    is_leaving: bool = False


_encoder = msgspec.json.Encoder()
_asked_decoder = msgspec.json.Decoder(_Asked)
_answer_decoder = msgspec.json.Decoder(Answer)
_office_decoder = msgspec.json.Decoder(_Office)


class Fleet:
    """Of one node. `apply` is told of changes of MTA_CONTROL; `run` belongs into the owner's task group."""

    def __init__(
        self,
        link: Link,
        bucket: Bucket,
        node: str,
        governed: Governed,
        shares: Shares,
        *,
        version: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = link
        self._bucket = bucket
        self._node = node
        self._governed = governed
        self._clock = clock
        self._version = version
        self._started = times.render(time.time())
        self._shares = shares
        self._seen: dict[str, float] = {}
        self._left: dict[str, float] = {}
        """Who stopped in order, and when: what he sent a moment ago still counts, and he may be back in a second."""
        self._office = ""
        self._office_seen_at = float("-inf")
        self._office_sequence = 0
        self._renewed_at = float("-inf")
        self._broker: Broker | None = None
        self._is_leaving = False

    @property
    def nodes(self) -> list[str]:
        """Those that are here, this one included."""
        return sorted({self._node, *self._seen})

    @property
    def broker(self) -> str:
        """Who holds the office; empty: nobody, or nobody is needed."""
        return self._office if self._clock() < self._office_seen_at + _OFFICE_TTL_S else ""

    def apply(self, key: str, value: bytes | None) -> None:
        """A change of MTA_CONTROL, be it of ours or not."""
        if key == OFFICE:
            self._note_office(value)
            return
        kind, _, token = key.partition(".")
        node = unescape(token) if kind == NODE else None
        if node and node != self._node:
            if value is not None:
                self._seen[node] = self._clock()
            elif self._seen.pop(node, None) is not None:
                self._left[node] = self._clock()
            self._meet()

    async def start(self) -> None:
        """Before anything is sent: who finds others here has nothing of his own yet."""
        if self._seen:
            self._shares.arrive()
        await self._announce()
        self._governed.share()

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._be_here(), name="be here")
            group.create_task(self._hold_office(), name="broker")
            group.create_task(self._keep_shares(), name="ask for shares")
            await answer(self._link, control_subject(ANY, BUDGET), self._answer)

    async def leave(self) -> None:
        """In order: nothing is in use here any more, and nobody has to wait until that is noticed."""
        self._is_leaving = True
        with contextlib.suppress(JetStreamError):
            if not self._shares.is_alone:
                await self._ask([], is_leaving=True)
            if self._broker is not None:
                await self._bucket.delete(OFFICE)
            await self._bucket.delete(kv_key(NODE, self._node))

    # -- who is here --------------------------------------------------------------------------------------------

    async def _be_here(self) -> None:
        while True:
            await asyncio.sleep(_PRESENCE_S)
            await self._announce()

    async def _announce(self) -> None:
        presence = _encoder.encode(Presence(self._started, self._version))
        with contextlib.suppress(JetStreamError):  # the next one will do
            await self._bucket.put(kv_key(NODE, self._node), presence, ttl_s=_PRESENCE_TTL_S)

    def _meet(self) -> None:
        now = self._clock()
        for node in [node for node, at in self._seen.items() if now >= at + _PRESENCE_TTL_S]:
            del self._seen[node]
        for node in [node for node, at in self._left.items() if node in self._seen or now >= at + LEASE_S]:
            del self._left[node]
        was_alone = self._shares.is_alone
        self._shares.meet(1 + len(self._seen) + len(self._left), now)
        if was_alone and not self._shares.is_alone and self._broker is not None:
            self._broker = Broker(quiet_until=now + LEASE_S)  # who is alone uses all, and asks nobody

    # -- the office ---------------------------------------------------------------------------------------------

    def _note_office(self, value: bytes | None) -> None:
        try:
            office = _office_decoder.decode(value or b"").node
        except msgspec.MsgspecError:
            office = ""
        self._office = office
        self._office_seen_at = self._clock() if office else float("-inf")
        if office != self._node:
            self._broker = None

    async def _hold_office(self) -> None:
        """While there is a fleet somebody has to be the broker: whoever finds the office empty first."""
        while True:
            await asyncio.sleep(_OFFICE_S)
            try:
                if self._broker is not None:
                    await self._renew()
                elif not self._shares.is_alone and not self.broker and not self._is_leaving:
                    await self._take_office()
            except JetStreamError as error:
                log.info("broker_unsure", error=str(error))

    async def _take_office(self) -> None:
        last = await self._bucket.last(OFFICE)
        if last is not None and last.value is not None:
            return  # its watcher is about to hear of it
        sent_at = self._clock()
        try:
            value = _encoder.encode(_Office(self._node))
            sequence = last.sequence if last is not None else 0
            self._office_sequence = await self._bucket.replace(OFFICE, value, sequence, ttl_s=_OFFICE_TTL_S)
        except Conflict:
            return
        # A key that has vanished by itself was not renewed for its whole life; one that was deleted may have been.
        last_grant_at = sent_at - (_OFFICE_TTL_S - _OFFICE_VALID_S if last is None else 0.0)
        self._broker = Broker(quiet_until=last_grant_at + LEASE_S)
        self._renewed_at = sent_at
        log.info("broker_begun", nodes=len(self.nodes))

    async def _renew(self) -> None:
        sent_at = self._clock()
        try:
            value = _encoder.encode(_Office(self._node))
            self._office_sequence = await self._bucket.replace(
                OFFICE, value, self._office_sequence, ttl_s=_OFFICE_TTL_S
            )
            self._renewed_at = sent_at
        except Conflict:
            self._broker = None
            log.info("broker_ended")

    def _answer(self, body: bytes) -> bytes | None:
        """Everybody hears the question, and the broker answers."""
        broker, now = self._broker, self._clock()
        if broker is None or now >= self._renewed_at + _OFFICE_VALID_S:
            return None
        try:
            asked = _asked_decoder.decode(body)
        except msgspec.MsgspecError:
            return None
        if asked.is_leaving:
            broker.leave(asked.node, now)
            said = Answer((), 0, False)
        else:
            said = broker.ask(asked.node, asked.wants, now)
        return _encoder.encode(said)

    # -- shares -------------------------------------------------------------------------------------------------

    async def _keep_shares(self) -> None:
        asks_at = 0.0
        while True:
            await asyncio.sleep(_LOOK_S)
            self._meet()
            now = self._clock()
            if not self._shares.is_alone and (now >= asks_at or self._governed.is_waiting):
                asks_at = now + ASK_S
                with contextlib.suppress(JetStreamError):  # a lease outlasts two unanswered questions
                    await self._ask(self._governed.wants())
            self._governed.share()

    async def _ask(self, wants: Sequence[Want], *, is_leaving: bool = False) -> None:
        sent_at = self._clock()
        body = _encoder.encode(_Asked(self._node, tuple(wants), is_leaving))
        message = await self._link.request(control_subject(ANY, BUDGET), body, timeout_s=_ANSWER_S)
        with contextlib.suppress(msgspec.MsgspecError):
            self._shares.take(wants, _answer_decoder.decode(message.data), sent_at)


def broker_in(value: bytes) -> str:
    """Who holds the office, as MTA_CONTROL has it; empty where it cannot be read."""
    try:
        return _office_decoder.decode(value).node
    except msgspec.MsgspecError:
        return ""
