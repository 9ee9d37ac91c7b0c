"""What this node has in hand, counted when somebody asks: recipients by whose they are and where they go, and what
binds their paths.

Counted in pieces, so that a question does not hold up the mail; what moves meanwhile may be seen twice or not at all.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from msgspec import Struct
from msgspec.structs import replace

from mta.admin.lately import Key, Lately, Pace
from mta.admin.view import FreshRow, HandRow, HandView, path_row
from mta.delivery.binding import Binding, Standing
from mta.delivery.reference import Parked, Reference, Settlement
from mta.flow.work import SourceKey, Work
from mta.jetstream.layout import RETRY
from mta.model.outcome import Deferred, Delivered

_MOST_ROWS, _MOST_PATHS, _MOST_DUE = 3_000, 500, 10_000
"""An answer is one message, and NATS takes one of 1 MB unless it is told to take more."""
_SLICE = 2_000
_MOST_REPLY = 200


class Working(Protocol):
    """The part of `mta.flow.life.Flow` that is needed here."""

    @property
    def in_work(self) -> Mapping[SourceKey, Work]: ...


class Sending(Protocol):
    """The part of `mta.delivery.email.EmailChannel` that is needed here."""

    def standings(self) -> list[Standing]: ...


class _Counts(Struct):
    waiting: int = 0
    ready: int = 0
    on_wire: int = 0
    later: int = 0
    oldest: float = 0.0


class Told:
    """Of one node: hears what is settled, and counts what is not."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._lately = Lately()

    def hearing(
        self, settle: Callable[[Reference[Any], Settlement], None]
    ) -> Callable[[Reference[Any], Settlement], None]:
        """Who is deferred or parked comes again, and has not ended."""
        lately = self._lately

        def hear(ref: Reference[Any], settlement: Settlement) -> None:
            # Most are delivered, and the first question is quick.
            if isinstance(settlement, Delivered) or not isinstance(settlement, Deferred | Parked):
                lately.note(ref.sender, ref.provider, ref.lane, time.monotonic())
            settle(ref, settlement)

        return hear

    @property
    def rate(self) -> float:
        return self._lately.rate(time.monotonic())

    async def view(self, working: Working, sending: Sending) -> HandView:
        counts: dict[Key, _Counts] = {}
        fresh: Counter[tuple[str, str, str]] = Counter()
        due: list[int] = []
        looked_at = 0
        for work in tuple(working.in_work.values()):
            stream, sequence = work.key
            if stream == RETRY:
                due.append(sequence)
            else:
                fresh[work.admitted.lane, work.sender.tenant, work.sender.campaign] += 1
            _count(work, counts)
            looked_at += len(work.references)
            if looked_at >= _SLICE:
                looked_at = 0
                await asyncio.sleep(0)
        paces = self._lately.paces(time.monotonic())
        rows = [_row(key, counts.get(key), paces.get(key)) for key in counts | paces]
        rows.sort(key=lambda row: row.waiting + row.ready + row.on_wire + row.later, reverse=True)
        paths = sorted(sending.standings(), key=lambda standing: standing.demand, reverse=True)
        ahead_s = time.time() - asyncio.get_running_loop().time()
        return HandView(
            node=self._node,
            at=time.time(),
            rows=tuple(rows[:_MOST_ROWS]),
            fresh=tuple(FreshRow(*key, count) for key, count in fresh.most_common(_MOST_ROWS)),
            due=tuple(due[:_MOST_DUE]),
            paths=tuple(path_row(one, _absolute(one.binding, ahead_s)) for one in paths[:_MOST_PATHS]),
            is_cut=len(rows) > _MOST_ROWS or len(due) > _MOST_DUE or len(fresh) > _MOST_ROWS,
        )


def _count(work: Work, counts: dict[Key, _Counts]) -> None:
    lane, sender, recipients = work.admitted.lane, work.sender, work.admitted.recipients
    of_provider: dict[str, _Counts] = {}

    def of(provider: str) -> _Counts:
        found = of_provider.get(provider)
        if found is None:
            key = Key(lane, sender.tenant, sender.campaign, provider)
            found = of_provider[provider] = counts.setdefault(key, _Counts())
        return found

    left = work.open
    for ref in work.references:
        if ref.is_settled:
            continue
        left -= 1
        one = of(ref.provider)
        if ref.is_on_wire:
            one.on_wire += 1
        elif ref.envelope is not None:
            one.ready += 1
        else:
            one.waiting += 1
        queued_at = recipients[ref.position].queued_at
        if queued_at < one.oldest or not one.oldest:
            one.oldest = queued_at
    if left > 0:  # not taken up yet
        of("").waiting += left
    for waiting in work.waiting.values():
        for kept in waiting:
            of(kept.ref.provider).later += 1


def _row(key: Key, counts: _Counts | None, pace: Pace | None) -> HandRow:
    counts, pace = counts or _Counts(), pace or Pace(0, 0.0)
    in_hand = (counts.waiting, counts.ready, counts.on_wire, counts.later)
    return HandRow(*key, *in_hand, pace.ended, round(pace.rate, 3), counts.oldest)


def _absolute(binding: Binding, ahead_s: float) -> Binding:
    until = binding.until + ahead_s if binding.until else 0.0
    return replace(binding, until=until, reply=binding.reply[:_MOST_REPLY])
