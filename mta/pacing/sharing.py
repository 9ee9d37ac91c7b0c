"""Between the governors of this node and the fleet's shares: what they need in whole units, and what they get. Pure.

A limit of each kind of a scope is shared by itself. A rate is divided by messages (or connections) of its own period;
where this node has no unit of one, no connection is opened: what waits is not taken for mail that can never go.
"""

from collections.abc import Callable, Sequence
from math import ceil
from typing import Protocol

from mta.pacing.broker import Want
from mta.pacing.governor import Demand
from mta.pacing.scope import Scope
from mta.pacing.settings import Limits
from mta.pacing.share import Shares
from mta.queue.settings import RateLimit

_MORE = 1.25
"""Of what was used lately where nobody waits: room to grow into until the next question."""
_FULL = 0.8
"""Of its share: who uses so much of it could use more."""
_HARDLY = RateLimit(1, 1e6)
"""A rate has to be above nothing."""
_MOST = 4_000
"""Scopes in one question, three limits each: a message of NATS holds 1 MB. More than so many at work at once keep to
what is kept for those who did not ask."""


class Governors(Protocol):
    """The part of `mta.pacing.governors.Governors` that is needed here."""

    first_share: Callable[[Scope, Limits], Limits | None]

    def demands(self) -> Sequence[Demand]: ...

    def share(self, scope: Scope, limits: Limits | None) -> None: ...

    def share_anew(self) -> None: ...


class Sharing:
    """Of one node; what `mta.pacing.fleet.Fleet` keeps to. `clock` tells monotonic seconds."""

    def __init__(self, governors: Governors, shares: Shares, clock: Callable[[], float]) -> None:
        self._governors = governors
        self._shares = shares
        self._clock = clock
        self._known: dict[Scope, Demand] = {}
        """Scopes at work, as last heard."""
        self._given: dict[Scope, Limits] = {}
        self._asked_at = 0.0
        self._terms = shares.terms(clock())
        self.is_waiting = False
        """Something is at work that was never asked for."""
        governors.first_share = self._first

    def wants(self) -> list[Want]:
        now = self._clock()
        demands = sorted(self._governors.demands(), key=_urgency, reverse=True)[:_MOST]
        elapsed_s = max(now - self._asked_at, 0.1)
        self._asked_at = now
        self.is_waiting = False
        self._known = {demand.scope: demand for demand in demands}
        return [one for demand in demands for one in _of(demand, elapsed_s, self._shares, now)]

    def share(self) -> None:
        """Keep to what is this node's now."""
        now, was_waiting = self._clock(), self.is_waiting
        terms = self._shares.terms(now)
        if self._shares.is_alone:
            self._known.clear()
        for scope, demand in self._known.items():
            self._give(scope, _given(scope, demand.limits, demand.connections, self._shares, now))
        for scope in [scope for scope in self._given if scope not in self._known]:
            del self._given[scope]
            self._governors.share(scope, None)
        if terms != self._terms:
            self._terms = terms
            self._governors.share_anew()
        self.is_waiting = was_waiting

    def _give(self, scope: Scope, given: Limits) -> None:
        if self._given.get(scope) != given:
            self._given[scope] = given
            self._governors.share(scope, given)

    def _first(self, scope: Scope, limits: Limits) -> Limits | None:
        if self._shares.is_alone or limits == Limits():
            return None
        self.is_waiting = True
        return _given(scope, limits, 0, self._shares, self._clock())


def _urgency(demand: Demand) -> int:
    return demand.messages_waited_for + demand.connections_waited_for


def _of(demand: Demand, elapsed_s: float, shares: Shares, now: float) -> list[Want]:
    limits, found = demand.limits, []
    if limits.connections is not None:
        key, most = _key(demand.scope, "connections"), limits.connections
        has = shares.units(key, most, now)
        is_short = demand.connections_waited_for or demand.connections >= _FULL * has
        needed = most if is_short else min(most, ceil(demand.connections * _MORE) + 1)
        found.append(Want(key, most, 0.0, needed, has, demand.connections))
    if limits.message_rate is not None:
        rate = limits.message_rate
        key, most = _key(demand.scope, "messages"), int(rate.count)
        has, lately = shares.units(key, most, now), demand.messages / elapsed_s * rate.period_s
        is_short = demand.messages_waited_for or lately >= _FULL * has
        needed = most if is_short else min(most, ceil(lately * _MORE) + 1)
        found.append(Want(key, most, rate.period_s, needed, has))
    if limits.connection_rate is not None:
        rate = limits.connection_rate
        key, most = _key(demand.scope, "openings"), int(rate.count)
        found.append(Want(key, most, rate.period_s, most, shares.units(key, most, now)))
    return found


def _given(scope: Scope, limits: Limits, in_use: int, shares: Shares, now: float) -> Limits:
    """`in_use` are the connections that are open: where there is no unit, none is opened, and on these goes nothing."""
    connections = limits.connections
    if connections is not None:
        connections = shares.units(_key(scope, "connections"), connections, now)
    messages, has_messages = _part(limits.message_rate, _key(scope, "messages"), shares, now)
    openings, has_openings = _part(limits.connection_rate, _key(scope, "openings"), shares, now)
    if not (has_messages and has_openings):
        connections = 0
        messages = _HARDLY if in_use else limits.message_rate
    return Limits(connections, openings, messages)


def _part(rate: RateLimit | None, key: str, shares: Shares, now: float) -> tuple[RateLimit | None, bool]:
    """Of a rate, and whether that is more than nothing. Less than one a period cannot be divided: each has it."""
    if rate is None or rate.count < 1:
        return rate, True
    units = shares.units(key, int(rate.count), now)
    if units >= int(rate.count):
        return rate, True
    return (RateLimit(units, rate.period_s), True) if units else (rate, False)


def _key(scope: Scope, what: str) -> str:
    return f"{scope.kind}/{scope.source}/{scope.name}/{what}"
