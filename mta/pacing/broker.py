"""Divides limits among the nodes of a fleet. Pure; the node that holds the office of broker asks it.

Each node says every few seconds what it needs of which limit, and gets a share with an end: a lease of some whole
units, connections or messages a period. Between, everything is local.

Invariants: the shares of a limit that have not ended never sum to more than the limit; what one node gives up goes to
another only when it cannot be in use any more; a node that needs something gets something, in turn where there is less
than one unit for each. A new broker learns from the nodes what they have, and gives more to none before all leases that
it does not know of have ended.

Shares are whole units since a rate of 3.3 in a second lets four through in some seconds, and 6.7 seven: eleven of ten.
"""

from collections.abc import Iterable
from typing import Annotated

from msgspec import Meta, Struct

LEASE_S = 5.0
"""From when it was asked for. A node that dies leaves its shares to the others after so long at most."""
ASK_S = 2.0
"""Between two asks of a node: often enough that one may be lost."""
_LONGEST_REST_S = LEASE_S
_TURN_S = 10.0
_FOR_OTHERS = 20
"""The twentieth part of a limit is kept for nodes that do not need it yet, so that their first message need not wait
until another one has given something up."""

MOST_NODES, MOST_LIMITS = 1_000, 100_000
"""That are remembered: who comes beyond gets no share of anything."""

_Count = Annotated[int, Meta(ge=0)]


class Want(Struct, frozen=True, array_like=True, gc=False):
    """What a node needs of one limit. `scope` names it, the same on all nodes; `limit` is its units by this node's
    configuration, `rest_s` the period in which they are counted (0.0: connections), `units` what it could use, `has`
    what it may use now by its own reckoning, `held` the connections that are open: a share may shrink at once, they
    close one by one."""

    scope: str
    limit: _Count
    rest_s: Annotated[float, Meta(ge=0)]
    units: _Count
    has: _Count = 0
    held: _Count = 0


class Share(Struct, frozen=True, array_like=True, gc=False):
    scope: str
    units: _Count


class Answer(Struct, frozen=True):
    """To one node. `is_settled`: every other node knows of this one, so that what is kept for it is free to use."""

    shares: tuple[Share, ...]
    nodes: _Count
    is_settled: bool


class _Lease:
    __slots__ = ("ends_at", "units", "wants")

    def __init__(self) -> None:
        self.units = 0
        self.wants = 0
        self.ends_at = 0.0


class _Limit:
    """One scope. `resting` are units that were given up, and until when they may still be in use."""

    __slots__ = ("leases", "limit", "rest_s", "resting")

    def __init__(self, limit: int, rest_s: float) -> None:
        self.limit = limit
        self.rest_s = rest_s
        self.leases: dict[str, _Lease] = {}
        self.resting: list[tuple[float, int]] = []

    def rest(self, units: int, rest_s: float, now: float) -> None:
        if units:
            self.resting.append((now + min(rest_s, _LONGEST_REST_S), units))


class Broker:
    """`quiet_until`: when the last lease of whoever held the office before has ended. Times are monotonic seconds."""

    def __init__(self, quiet_until: float) -> None:
        self._quiet_until = quiet_until
        self._limits: dict[str, _Limit] = {}
        self._nodes: dict[str, float] = {}
        """When each asked last."""
        self._joined: dict[str, float] = {}

    def ask(self, node: str, wants: Iterable[Want], now: float) -> Answer:
        """The shares of this node for the next `LEASE_S`: at most what it wants, and of what it has not asked for any
        more none."""
        self._forget(now)
        if node not in self._nodes and len(self._nodes) >= MOST_NODES:
            return Answer((), len(self._nodes), False)
        self._nodes[node] = now
        self._joined.setdefault(node, now)
        wanted = {want.scope: want for want in wants}
        for scope, limit in list(self._limits.items()):
            if scope not in wanted and node in limit.leases:
                self._give_up(limit, node, now)
        shares = tuple(self._share(node, want, now) for want in wanted.values())
        return Answer(shares, len(self._nodes), self._is_settled(node))

    def leave(self, node: str, now: float) -> None:
        """It stops in order, and has nothing in use any more; what it has just sent still counts in its period."""
        self._nodes.pop(node, None)
        self._joined.pop(node, None)
        for limit in self._limits.values():
            lease = limit.leases.pop(node, None)
            if lease is not None:
                limit.rest(lease.units, limit.rest_s, now)
        self._forget(now)

    def _share(self, node: str, want: Want, now: float) -> Share:
        limit = self._limits.get(want.scope)
        if limit is None:
            if len(self._limits) >= MOST_LIMITS:
                return Share(want.scope, 0)
            limit = self._limits[want.scope] = _Limit(want.limit, want.rest_s)
        lease = limit.leases.get(node)
        if lease is None:
            lease = limit.leases[node] = _Lease()
            lease.units = max(0, min(want.has, want.limit))
        limit.limit = want.limit if len(limit.leases) == 1 else min(want.limit, limit.limit)
        lease.wants = max(0, want.units)
        lease.ends_at = now + LEASE_S
        due = self._parts(limit, now)[node]
        kept = max(due, min(want.held, lease.units))
        if kept < lease.units:
            limit.rest(lease.units - kept, want.rest_s, now)
            lease.units = kept
        elif now >= self._quiet_until:
            lease.units += max(0, min(due - lease.units, self._free(limit)))
        return Share(want.scope, min(due, lease.units))

    def _parts(self, limit: _Limit, now: float) -> dict[str, int]:
        """By max-min: nobody gets more than he wants, and what that leaves goes evenly to who wants more. Where there
        is less than one for each, in turn."""
        left = limit.limit - self._kept(limit)
        names = sorted(limit.leases)
        turn = int(now / _TURN_S) % len(names) if left < len(names) else 0
        parts = {}
        in_turn = sorted([*names[turn:], *names[:turn]], key=lambda name: limit.leases[name].wants)
        for place, name in enumerate(in_turn):
            parts[name] = min(limit.leases[name].wants, left // (len(in_turn) - place))
            left -= parts[name]
        return parts

    def _kept(self, limit: _Limit) -> int:
        """For the nodes that have not asked for it: each may begin with `floor_units`."""
        idle = len(self._nodes) - len(limit.leases)
        return idle * floor_units(limit.limit, len(self._nodes)) if idle > 0 else 0

    def _free(self, limit: _Limit) -> int:
        used = sum(lease.units for lease in limit.leases.values()) + sum(units for _, units in limit.resting)
        return max(0, limit.limit - self._kept(limit) - used)

    def _is_settled(self, node: str) -> bool:
        joined = self._joined.get(node)
        if joined is None:
            return False
        return self._nodes[node] >= joined + LEASE_S and all(at >= joined for at in self._nodes.values())

    def _give_up(self, limit: _Limit, node: str, now: float) -> None:
        """What it had may still be in use for as long as anything may."""
        limit.rest(limit.leases.pop(node).units, _LONGEST_REST_S, now)

    def _forget(self, now: float) -> None:
        """Leases that have ended, nodes that have not asked for as long, and limits of which nothing is left."""
        for node, asked_at in list(self._nodes.items()):
            if now >= asked_at + LEASE_S:
                del self._nodes[node], self._joined[node]
        for scope, limit in list(self._limits.items()):
            for node in [name for name, lease in limit.leases.items() if now >= lease.ends_at]:
                del limit.leases[node]
            limit.resting = [(until, units) for until, units in limit.resting if until > now]
            if not limit.leases and not limit.resting:
                del self._limits[scope]


def floor_units(limit: int, nodes: int) -> int:
    """What one of so many nodes may use of a limit without having asked for it. All of these together leave most of it
    to who has asked, and never sum to more than the limit."""
    if nodes < 2:
        return limit
    return min(limit // 2, max(nodes - 1, limit // _FOR_OTHERS)) // (nodes - 1)
