"""Which of a pool's sources a message leaves from.

Sources take smooth weighted turns at each site, so that each site sees all of them in proportion. A turn passes to the
next one where a source may not send there now: it is suspended at that provider, its warm-up has used up the day's cap,
or this very recipient was refused because of it (a block moves on). One of weight 0 stands by for that. What was
greylisted stays with its source, which is known there by its address.
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from math import gcd
from typing import Any

from msgspec import Struct

from mta.delivery.reference import Parked, Reference, Settlement
from mta.model.path import EgressPool, EgressSource, Site
from mta.pacing.actions import Actions
from mta.pacing.warmup import Room, Warmups, next_day_at

_MOST_SITES = 50_000  # whose turn of sources is remembered
WARMING_UP = "warming_up"
SUSPENDED = "suspended"


class Chosen(Struct, frozen=True, gc=False):
    """`is_counted`: a unit of its warm-up was spent, to be given back if the message does not go."""

    source: EgressSource
    is_counted: bool = False


class Asking(Struct, frozen=True, gc=False):
    """It is not known yet whether the source has a unit of its warm-up left."""

    source: str


class Held(Struct, frozen=True, gc=False):
    """No source of the pool may send there before `until` (seconds since the epoch)."""

    until: float
    reason: str


Choice = Chosen | Asking | Held


class Egress:
    """All pools. `want(source, provider)` asks for more units of a warm-up. Times are seconds since the epoch."""

    def __init__(
        self,
        pools: Mapping[str, EgressPool],
        actions: Actions,
        warmups: Warmups,
        want: Callable[[str, str], None],
        wall: Callable[[], float],
    ) -> None:
        self._turns = {name: _Turns(pool) for name, pool in pools.items()}
        self._actions = actions
        self._warmups = warmups
        self._want = want
        self._wall = wall

    def choose(self, ref: Reference[Any], site: Site) -> Choice | None:
        """None: there is no such pool (any more). What must use its source again waits for that one, where it still
        exists; the one that is to be avoided is used only where there is no other."""
        self.give_back(ref)
        turns = self._turns.get(ref.pool)
        if turns is None:
            return None
        now = self._wall()
        kept = turns.by_name.get(ref.source)
        sources = turns.in_turn(site.name) if kept is None else [kept]
        if ref.avoided:
            sources = sorted(sources, key=lambda one: one.name == ref.avoided)
        held = Held(float("inf"), SUSPENDED)
        for source in sources:
            until, reason = self._actions.curb(source.name, site.provider, site.name, now).until, SUSPENDED
            if until <= now:
                choice = self._counted(source, site, now)
                if choice is not None:
                    return self._noted(ref, choice)
                until, reason = next_day_at(now), WARMING_UP
            if until < held.until:
                held = Held(until, reason)
        return held

    def note(self, ref: Reference[Any], settlement: Settlement) -> None:
        """What became of one that spent a unit of a warm-up: it is spent only on what was tried."""
        if isinstance(settlement, Parked) or not was_tried(settlement):
            self.give_back(ref)

    def give_back(self, ref: Reference[Any]) -> None:
        """It did not go, or goes another way."""
        if ref.counted_at:
            self._warmups.give_back(ref.counted_at, ref.provider, self._wall())
            ref.counted_at = ""

    def _noted(self, ref: Reference[Any], choice: Choice) -> Choice:
        match choice:
            case Chosen(source=source, is_counted=True):
                ref.counted_at = source.name
                self._want(source.name, ref.provider)
            case Asking(source=name):
                self._want(name, ref.provider)
        return choice

    def _counted(self, source: EgressSource, site: Site, now: float) -> Chosen | Asking | None:
        match self._warmups.room(source.name, site.provider, now):
            case Room.FREE:
                return Chosen(source)
            case Room.TAKEN:
                return Chosen(source, is_counted=True)
            case Room.ASKING:
                return Asking(source.name)
            case Room.SPENT:
                return None


def was_tried(settlement: Settlement) -> bool:
    """A server was spoken to about this very message."""
    attempt = getattr(settlement, "attempt", None)
    return attempt is not None and bool(attempt.session_id)


class _Turns:
    """Of one pool."""

    def __init__(self, pool: EgressPool) -> None:
        self.by_name = {source.name: source for source, _ in pool.sources}
        self._turns = _interleaved(pool)
        self._standing_by = [source for source, weight in pool.sources if not weight]
        self._next: dict[str, int] = {}

    def in_turn(self, site: str) -> Iterator[EgressSource]:
        """Each source once, from the one whose turn it is, which has passed with this; those that stand by last."""
        turns = self._turns
        if len(self.by_name) == 1:
            yield turns[0]
            return
        if len(self._next) >= _MOST_SITES:
            self._next.clear()
        turn = self._next.get(site, 0)
        self._next[site] = (turn + 1) % len(turns)
        seen = set()
        for source in chain(islice(turns, turn, None), islice(turns, turn), self._standing_by):
            if source.name not in seen:
                seen.add(source.name)
                yield source


def _interleaved(pool: EgressPool) -> list[EgressSource]:
    """Each source `weight` times, spread evenly: {a: 2, b: 1} gives a b a."""
    common = gcd(*(weight for _, weight in pool.sources))
    weights = [(source, weight // common) for source, weight in pool.sources]
    total = sum(weight for _, weight in weights)
    credit = {source.name: 0 for source, _ in weights}
    turns: list[EgressSource] = []
    for _ in range(total):
        for source, weight in weights:
            credit[source.name] += weight
        best = max(weights, key=lambda item: credit[item[0].name])[0]
        credit[best.name] -= total
        turns.append(best)
    return turns
