"""What this node may use of limits that the fleet shares. Pure; times are monotonic seconds.

While it is alone it uses all. In a fleet it uses its leases; of what it has not asked for yet, or has no lease of, only
what is kept for it. When the broker is gone a lease runs out like any other: then the smaller of it and the even part
holds, until every lease of anybody has run out as well, and from then on the even part.
"""

from collections.abc import Iterable

from msgspec import Struct

from mta.pacing.broker import LEASE_S, Answer, Want, floor_units


class _Held(Struct):
    units: int
    ends_at: float


class Shares:
    """Alone at first: nobody else has been heard of."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        self._nodes = 1
        self._is_settled = False
        self._all_until = 0.0

    @property
    def is_alone(self) -> bool:
        return self._nodes < 2

    def terms(self, now: float) -> tuple[int, bool, bool]:
        """What decides about all that it has no lease of: when this changes, so do they."""
        return self._nodes, self._is_settled, now < self._all_until

    def meet(self, nodes: int, now: float) -> None:
        """How many nodes there are, this one included. Who was alone goes on with all until a broker has answered:
        those who come know that, and wait."""
        if self.is_alone and nodes > 1:
            self._all_until = now + 2 * LEASE_S
        self._nodes = max(1, nodes)
        if self.is_alone:
            self._held.clear()
            self._is_settled = False

    def arrive(self) -> None:
        """This node has just started and there were others before it: nothing is its own."""
        self._all_until = 0.0

    def take(self, asked: Iterable[Want], answer: Answer, sent_at: float) -> None:
        """The answer to an ask that was sent then: leases count from that time."""
        self._all_until = 0.0
        self._is_settled = self._is_settled or answer.is_settled
        for share in answer.shares:
            self._held[share.scope] = _Held(share.units, sent_at + LEASE_S)
        named = {want.scope for want in asked}
        for scope in [scope for scope in self._held if scope not in named]:
            del self._held[scope]

    def units(self, scope: str, limit: int, now: float) -> int:
        """Of a limit of so many units, how many may be in use now."""
        if self.is_alone or now < self._all_until:
            return limit
        held = self._held.get(scope)
        if held is None:
            return floor_units(limit, self._nodes) if self._is_settled else 0
        if now < held.ends_at:
            return min(held.units, limit)
        even = limit // self._nodes
        return even if now >= held.ends_at + LEASE_S else min(held.units, even)
