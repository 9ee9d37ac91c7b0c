"""When what waits will be done, at the rate at which it goes now. Pure; times are seconds since the epoch.

Arithmetic, not prophecy: the rate is taken to stay, and nobody to be deferred once more.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import IntEnum

from msgspec import Struct

FOREVER = float("inf")
_LONGEST_S = 366 * 86400.0
"""Who would be done only then is not done at this rate."""


class EtaKind(IntEnum):
    """From good to bad: of several the worst holds for all."""

    DONE = 0
    """Nothing waits."""
    AT = 1
    """At about that time."""
    NOT_BEFORE = 2
    """Nothing is to go before that time, and how fast it will go then nobody knows."""
    UNKNOWN = 3
    """No rate is known: it is not routed yet."""
    STUCK = 4
    """It may go, and nothing does."""


class Eta(Struct, frozen=True, gc=False):
    """`held` recipients are not in it: nobody can say when they are let go."""

    kind: EtaKind
    at: float = 0.0
    held: int = 0


class Load(Struct, frozen=True):
    """What waits. `now` recipients may go at once, `later` are (when they may, how many), `held` are kept back until
    somebody lets them go; `rate` is how many are done in a second. `is_routed`: its rate says something about it."""

    now: int = 0
    later: tuple[tuple[float, int], ...] = ()
    held: int = 0
    rate: float = 0.0
    is_routed: bool = True

    @property
    def total(self) -> int:
        return self.now + self.held + sum(count for _, count in self.later)


def together(loads: Iterable[Load]) -> Load:
    """Of several nodes, or parts that share one rate."""
    found = list(loads)
    return Load(
        now=sum(load.now for load in found),
        later=tuple(sorted(pair for load in found for pair in load.later)),
        held=sum(load.held for load in found),
        rate=sum(load.rate for load in found),
        is_routed=all(load.is_routed for load in found if load.total),
    )


def eta(load: Load, now: float) -> Eta:
    """Whoever waits for a later attempt is not done before it, however fast it goes."""
    later = [(at, count) for at, count in sorted(load.later) if count > 0]
    due = load.now + sum(count for at, count in later if at <= now)
    later = [(at, count) for at, count in later if at > now]
    if not due and not later:
        return Eta(EtaKind.NOT_BEFORE, FOREVER, load.held) if load.held else Eta(EtaKind.DONE)
    if not load.is_routed and due:
        return Eta(EtaKind.UNKNOWN, held=load.held)
    if load.rate <= 0 or not load.is_routed:
        if due:
            return Eta(EtaKind.STUCK, held=load.held)
        return Eta(EtaKind.NOT_BEFORE, later[-1][0], load.held)
    at = now + due / load.rate
    for moment, count in later:
        at = max(at, moment) + count / load.rate
    if at - now > _LONGEST_S:
        return Eta(EtaKind.STUCK, held=load.held)
    return Eta(EtaKind.AT, at, load.held)


def last(etas: Iterable[Eta]) -> Eta:
    """Of parts that go beside each other: all are done when the last one is."""
    found = list(etas)
    worst = max(found, key=lambda one: (one.kind, one.at), default=Eta(EtaKind.DONE))
    return Eta(worst.kind, worst.at, sum(one.held for one in found))


def about(seconds: float) -> str:
    """`less than a minute`, `about 5 min`, `about 2 h 10 min`, `about 3 d 4 h`: no finer than anybody knows."""
    minutes = round(seconds / 60)
    if seconds < 60:
        return "less than a minute"
    if minutes < 60:
        return f"about {minutes} min"
    if minutes < 600:
        minutes = round(minutes / 5) * 5
    hours, minutes = divmod(minutes, 60)
    if hours < 10:
        return f"about {hours} h {minutes} min" if minutes else f"about {hours} h"
    hours += minutes >= 30
    days, hours = divmod(hours, 24)
    if not days:
        return f"about {hours} h"
    return f"about {days} d {hours} h" if hours else f"about {days} d"


def clock(at: float, now: float) -> str:
    """`14:30` today, `11-27 14:30` on another day; UTC."""
    moment, today = datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(now, UTC)
    return f"{moment:%H:%M}" if moment.date() == today.date() else f"{moment:%m-%d %H:%M}"
