"""How a new source becomes known: a plan of daily caps at each provider, a step a day. Pure.

What was used of a day's cap lies in MTA_CONTROL under `warmup.<source>.<provider>`, where all nodes that send from the
source draw on it. A node takes units in advance, a small share of the cap at a time, and spends them without asking:
so the cap holds over the whole fleet, and what a crash loses is never more than one such share.

Invariants: of a day's cap no more is spent than was taken, and no more taken than there is. A day counts only if mail
was sent on it (MailerQ does so; a plan that went on over a weekend would end in a jump). Days are UTC; a clock that is
behind draws on the day that the others have begun.
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum

import msgspec
from msgspec import Struct

from mta.jetstream.subjects import kv_key, unescape
from mta.pacing.rules import SourceWarmup, WarmupPlan

PREFIX = "warmup"
_SHARE = 50
"""Of the cap that is taken at once: the fiftieth part."""
_MOST_AT_ONCE = 5_000
_DAY_S = 86_400.0
_ENCODER = msgspec.json.Encoder()


class WarmupState(Struct, frozen=True, omit_defaults=True, gc=False):
    """As it lies in MTA_CONTROL. `step` counts from 0, `day` is the UTC date on which `taken` of its cap were taken;
    `began` the first of all."""

    step: int = 0
    day: str = ""
    taken: int = 0
    began: str = ""

    def at(self, day: str) -> "WarmupState":
        """The state on this day, before anything is taken on it."""
        if day <= self.day:
            return self
        step = self.step + (1 if self.taken else 0)
        return WarmupState(step, day, 0, self.began or day)


class Room(Enum):
    """Whether one more may go from a source to a provider."""

    FREE = "free"
    """It is warm, or nobody warms it there."""
    TAKEN = "taken"
    """A unit of today's cap was spent on it."""
    ASKING = "asking"
    """More units are being asked for; the answer decides."""
    SPENT = "spent"
    """Today's cap is used up."""


class Need(Struct, frozen=True, gc=False):
    """Units that this node wants to take of a day's cap; below 0: that it gives back."""

    source: str
    provider: str
    day: str
    units: int

    @property
    def key(self) -> str:
        return kv_key(PREFIX, self.source, self.provider)


class Progress(Struct, frozen=True, gc=False):
    """Of one source at one provider, for people: `step` counts from 1, `cap` None: it is warm."""

    source: str
    provider: str
    plan: str
    step: int
    steps: int
    cap: int | None
    taken: int
    began: str


class _Warming:
    """One source at one provider. `stock` are units taken for `day` and not spent."""

    __slots__ = ("day", "is_known", "state", "stock")

    def __init__(self) -> None:
        self.state = WarmupState()
        self.is_known = False
        self.day = ""
        self.stock = 0


class Warmups:
    """Of one node. `sources` are those that are warmed up. Times are seconds since the epoch."""

    def __init__(self, sources: Mapping[str, SourceWarmup]) -> None:
        self._sources = sources
        self._all: dict[tuple[str, str], _Warming] = {}
        self._today = ""
        self._today_until = 0.0

    def plan(self, source: str, provider: str) -> WarmupPlan | None:
        """The one that holds for a source at a provider."""
        warmup = self._sources.get(source)
        return warmup.plan if warmup is not None and warmup.holds_at(provider) else None

    def room(self, source: str, provider: str, now: float) -> Room:
        """Spends a unit where one is needed and there."""
        plan = self.plan(source, provider)
        if plan is None:
            return Room.FREE
        one = self._of(source, provider)
        day = self._turned(one, now)
        state = one.state.at(day)
        if cap_of(plan, state) is None:
            return Room.FREE
        if one.stock:
            one.stock -= 1
            return Room.TAKEN
        if one.is_known and _left(plan, state) <= 0:
            return Room.SPENT
        return Room.ASKING

    def give_back(self, source: str, provider: str, now: float) -> None:
        """A unit that was spent on mail which did not go: it was parked, or went elsewhere."""
        one = self._all.get((source, provider))
        if one is not None and self._turned(one, now) == one.day and one.day:
            one.stock += 1

    def need(self, source: str, provider: str, now: float) -> Need | None:
        """What to ask for now, if anything."""
        plan = self.plan(source, provider)
        if plan is None:
            return None
        one = self._of(source, provider)
        day = self._turned(one, now)
        state = one.state.at(day)
        cap = cap_of(plan, state)
        if cap is None:
            return None
        share = max(1, min(cap // _SHARE, _MOST_AT_ONCE))
        if one.stock * 2 > share or (one.is_known and _left(plan, state) <= 0):
            return None
        return Need(source, provider, day, share)

    def surplus(self, now: float) -> list[Need]:
        """All that was taken and not spent, to be given back: the node stops."""
        found = []
        for (source, provider), one in self._all.items():
            day = self._turned(one, now)
            if one.stock:
                found.append(Need(source, provider, day, -one.stock))
                one.stock = 0
        return found

    def granted(self, need: Need, state: WarmupState, units: int) -> None:
        """The bucket has it: `state` is what it holds now."""
        one = self._of(need.source, need.provider)
        self._know(one, state)
        if units > 0:
            if one.day != state.day:
                one.day, one.stock = state.day, 0
            one.stock += units

    def apply(self, key: str, value: bytes | None) -> tuple[str, str] | None:
        """A change of the bucket: which source and provider it is about, None for a key that is none of ours. What
        cannot be read, or was deleted, begins anew."""
        tokens = key.split(".")
        if len(tokens) != 3 or tokens[0] != PREFIX:
            return None
        source, provider = unescape(tokens[1]), unescape(tokens[2])
        if source is None or provider is None or self.plan(source, provider) is None:
            return None
        one = self._of(source, provider)
        one.state = decode_state(value)
        one.is_known = True
        return source, provider

    def progress(self, now: float) -> list[Progress]:
        """Of everything that has begun."""
        found = []
        for (source, provider), one in sorted(self._all.items()):
            plan = self.plan(source, provider)
            if plan is not None and one.state.began:
                found.append(progress_of(source, provider, plan, one.state.at(self._day(now))))
        return found

    def _of(self, source: str, provider: str) -> _Warming:
        one = self._all.get((source, provider))
        if one is None:
            one = self._all[source, provider] = _Warming()
        return one

    def _know(self, one: _Warming, state: WarmupState) -> None:
        """The later word counts: answers and changes of the bucket cross each other."""
        if not one.is_known or (state.day, state.taken) >= (one.state.day, one.state.taken):
            one.state = state
            one.is_known = True

    def _turned(self, one: _Warming, now: float) -> str:
        """Today, or the day that others have begun already; what is left of yesterday's units is worth nothing."""
        day = max(self._day(now), one.state.day)
        if one.stock and one.day != day:
            one.stock = 0
        return day

    def _day(self, now: float) -> str:
        """Asked for each message, so not reckoned anew each time."""
        if not self._today_until - _DAY_S <= now < self._today_until:
            self._today = day_of(now)
            self._today_until = next_day_at(now)
        return self._today


def cap_of(plan: WarmupPlan, state: WarmupState) -> int | None:
    """Of the day of that state; None: the source is warm."""
    return plan.steps[state.step] if state.step < len(plan.steps) else None


def grant(state: WarmupState, plan: WarmupPlan, need: Need) -> tuple[WarmupState, int]:
    """What the bucket is to hold, and how many units that gives; 0 where there is nothing left, or it is another
    day by now."""
    turned = state.at(need.day)
    cap = cap_of(plan, turned)
    if turned.day != need.day or cap is None:
        return turned, 0
    units = max(-turned.taken, min(need.units, cap - turned.taken))
    return WarmupState(turned.step, turned.day, turned.taken + units, turned.began), units


def progress_of(source: str, provider: str, plan: WarmupPlan, state: WarmupState) -> Progress:
    step = min(state.step + 1, len(plan.steps))
    return Progress(
        source, provider, plan.name, step, len(plan.steps), cap_of(plan, state), state.taken, state.began
    )


def next_day_at(now: float) -> float:
    """When the next cap begins."""
    today = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return (today + timedelta(days=1)).timestamp()


def encode_state(state: WarmupState) -> bytes:
    return _ENCODER.encode(state)


def decode_state(value: bytes | None) -> WarmupState:
    """The beginning for what is none."""
    try:
        state = msgspec.json.decode(value or b"", type=WarmupState)
    except msgspec.MsgspecError:
        return WarmupState()
    return state if state.step >= 0 and state.taken >= 0 else WarmupState()


def day_of(now: float) -> str:
    """The UTC date of a time."""
    return datetime.fromtimestamp(now, UTC).date().isoformat()


def _left(plan: WarmupPlan, state: WarmupState) -> int:
    cap = cap_of(plan, state)
    return cap - state.taken if cap is not None else 0
