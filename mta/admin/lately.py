"""How many recipients have ended lately, by whose they are and where they went. Pure; times are monotonic seconds."""

from collections import OrderedDict
from typing import NamedTuple

from mta.model.lane import Lane
from mta.model.sender import Sender

_SLOT_S = 10.0
_SLOTS = 30
_MOST_KEYS = 10_000
_ENOUGH = 20
"""So many in the last ten seconds say how fast it goes; of fewer, five minutes do."""


class Key(NamedTuple):
    """`provider` empty: not routed."""

    lane: str
    tenant: str
    campaign: str
    provider: str


class Pace(NamedTuple):
    """`ended` in the last ten seconds or so, and `rate` in a second."""

    ended: int
    rate: float


_NONE = Pace(0, 0.0)


class _Ended:
    """Of one key: counts by slot, oldest first, and when it first was heard of since it was last forgotten."""

    __slots__ = ("since", "slots")

    def __init__(self, since: float) -> None:
        self.since = since
        self.slots: dict[int, int] = {}


class Lately:
    """Bounded: whose mail was quiet longest is forgotten first."""

    def __init__(self) -> None:
        self._ended: OrderedDict[tuple[Sender, str, bool], _Ended] = OrderedDict()
        self._last: tuple[Sender, str, Lane] | None = None
        self._counts: dict[int, int] = {}
        self._slot = 0
        """Where the last one was counted: mostly the next one is of the same, and this is done for every message."""

    def note(self, sender: Sender, provider: str, lane: Lane, now: float) -> None:
        slot = int(now / _SLOT_S)
        last = self._last
        is_same = last is not None and last[0] is sender and last[1] == provider and last[2] is lane
        if is_same and slot == self._slot:
            self._counts[slot] += 1
            return
        key = (sender, provider, lane is Lane.BULK)
        ended = self._ended.get(key)
        if ended is None:
            ended = self._ended[key] = _Ended(now)
            if len(self._ended) > _MOST_KEYS:
                self._ended.popitem(last=False)
        slots = ended.slots
        self._last, self._counts, self._slot = (sender, provider, lane), slots, slot
        if slot in slots:
            slots[slot] += 1
            return
        slots[slot] = 1
        self._ended.move_to_end(key)
        if len(slots) > _SLOTS + 1:
            del slots[next(iter(slots))]

    def paces(self, now: float) -> dict[Key, Pace]:
        """Of all that ended something in the last five minutes."""
        self._forget(now)
        found: dict[Key, Pace] = {}
        for (sender, provider, is_bulk), ended in self._ended.items():
            lane = Lane.BULK if is_bulk else Lane.TRANSACTIONAL
            key, pace = Key(lane, sender.tenant, sender.campaign, provider), _pace(ended, now)
            known = found.get(key, _NONE)  # of another stream or From domain
            found[key] = Pace(known.ended + pace.ended, known.rate + pace.rate)
        return found

    def rate(self, now: float) -> float:
        """Of all together, in a second."""
        return sum(pace.rate for pace in self.paces(now).values())

    def _forget(self, now: float) -> None:
        oldest = int(now / _SLOT_S) - _SLOTS
        while self._ended:
            key, ended = next(iter(self._ended.items()))
            if max(ended.slots) > oldest:
                return
            del self._ended[key]


def _pace(ended: _Ended, now: float) -> Pace:
    """This slot and the one before it, whole: ten to twenty seconds; or all there are. Never more than since it began:
    what has just begun is not slow."""
    this = int(now / _SLOT_S)
    in_this_s, age_s = now - this * _SLOT_S, max(1.0, now - ended.since)
    lately = ended.slots.get(this, 0) + ended.slots.get(this - 1, 0)
    if lately >= _ENOUGH:
        return Pace(lately, lately / min(_SLOT_S + in_this_s, age_s))
    total = sum(count for slot, count in ended.slots.items() if slot > this - _SLOTS)
    return Pace(lately, total / min((_SLOTS - 1) * _SLOT_S + in_this_s, age_s))
