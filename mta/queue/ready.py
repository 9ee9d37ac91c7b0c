"""The references that wait for one egress path, and whose turn it is.

Two lanes, taken from one at a time: how they share is decided where messages are sent (`mta.queue.lanes`). Inside a
lane the tenants take turns, inside a tenant his campaigns: deficit round robin (Shreedhar and Varghese, 1996), in the
form that lets a turn end in debt, so that nobody has to look at what comes next. A turn of a tenant is worth a quantum
times his weight, one of a campaign a quantum; one cut short by the end of a `take` goes on at the next one.

A turn is counted in slots, which the caller says for each reference. It is neither messages nor octets alone: what
binds a path are as a rule limits that count messages, and the round trip each of them costs, so a message is a slot
however small it is; but where it is octets that bind, whoever sends a megabyte a message must not have a hundred times
the wire of who sends ten kilobytes, so large messages cost more slots (`mta.delivery.reference.slots`).

A `take` costs O(1) for each slot it gives, whatever waits and however many tenants do. References mean nothing here.
Those that are no longer wanted (a cancelled campaign, a payload that was lost) need not be searched: `is_wanted` is
asked when their turn comes, and they are dropped and cost nobody a slot. A tenant or a campaign without references
costs nothing: debts are forgotten with them. Only who was the last in his lane is kept, as where messages leave as fast
as they come that is so after each of them.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from itertools import chain
from typing import Generic, TypeVar

from mta.model.lane import Lane
from mta.model.sender import Sender
from mta.queue.settings import EVEN, Fairness

Ref = TypeVar("Ref")

_BULK_QUANTUM = 8  # about half a chunk of compose: one campaign's template at a time, yet turns stay short
_TRANSACTIONAL_QUANTUM = 1


class _Tenant(Generic[Ref]):
    """His lines by campaign, in the order of their turns. `left` are the slots of his turn, `of_first` those of the
    turn of his first campaign; both may have become negative by what was given last."""

    __slots__ = ("debts", "left", "lines", "of_first", "waiting", "weight")

    def __init__(self, weight: int, quantum: int) -> None:
        self.waiting = 0
        self.weight = weight
        self.left = quantum * weight
        self.of_first = quantum
        self.lines: OrderedDict[str, deque[Ref]] = OrderedDict()
        self.debts: dict[str, int] | None = None
        """Of campaigns whose last turn ended in debt: most cost a slot a message and never do."""

    def line(self, campaign: str) -> deque[Ref]:
        """Of a campaign that something is put to."""
        self.waiting += 1
        line = self.lines.get(campaign)
        if line is None:
            if self.waiting == 1:
                self.lines.clear()  # the empty one that was kept
            line = self.lines[campaign] = deque()
        return line

    def renew(self, quantum: int) -> None:
        """He has nothing left, and there is nobody but him: as if he had just come, and what there is of him is kept
        for what comes next."""
        self.left = quantum * self.weight
        self.of_first = quantum
        self.debts = None

    def rotate(self, campaign: str, quantum: int) -> None:
        """The turn of the first campaign is over."""
        self.lines.move_to_end(campaign)
        if self.of_first < 0 and len(self.lines) > 1:
            if self.debts is None:
                self.debts = {}
            self.debts[campaign] = self.of_first
        self.begin(quantum)

    def remove(self, campaign: str, quantum: int) -> None:
        """The first campaign has nothing left."""
        del self.lines[campaign]
        self.begin(quantum)

    def begin(self, quantum: int) -> None:
        """The turn of who is first now."""
        self.of_first = quantum
        if self.debts and self.lines:
            self.of_first += self.debts.pop(next(iter(self.lines)), 0)


class _Turns(Generic[Ref]):
    """One lane."""

    __slots__ = ("_is_wanted", "_quantum", "_slots", "_tenants", "_weight", "fair", "waiting")

    def __init__(
        self,
        quantum: int,
        fair: Fairness,
        is_wanted: Callable[[Ref], bool] | None,
        slots: Callable[[Ref], int] | None,
    ) -> None:
        self.waiting = 0
        self.fair = fair
        self._quantum = quantum
        self._is_wanted = is_wanted
        self._slots = slots
        self._weight = 0  # of all tenants here
        self._tenants: OrderedDict[str, _Tenant[Ref]] = OrderedDict()

    def __iter__(self) -> Iterator[Ref]:
        for tenant in self._tenants.values():
            for line in tenant.lines.values():
                yield from line

    def put(self, ref: Ref, sender: Sender) -> None:
        tenant = self._tenants.get(sender.tenant) or self._come(sender.tenant)
        tenant.line(sender.campaign).append(ref)
        self.waiting += 1

    def put_back(self, ref: Ref, sender: Sender) -> None:
        """In front of its campaign."""
        tenant = self._tenants.get(sender.tenant) or self._come(sender.tenant)
        tenant.line(sender.campaign).appendleft(ref)
        self.waiting += 1

    def _come(self, name: str) -> _Tenant[Ref]:
        if not self.waiting:  # he who was kept is gone
            self._tenants.clear()
            self._weight = 0
        tenant = self._tenants[name] = _Tenant(self.fair.weight(name), self._quantum)
        self._weight += tenant.weight
        return tenant

    def take(self, most: int) -> list[Ref]:
        """Up to `most`; fewer only if no more are wanted."""
        tenants = self._tenants
        if len(tenants) == 1:
            (tenant,) = tenants.values()
            if len(tenant.lines) == 1:
                return self._take_alone(tenant, most)
        taken: list[Ref] = []
        while self.waiting and len(taken) < most:
            name, tenant = next(iter(tenants.items()))
            if tenant.left > 0:
                self._take_from(tenant, most - len(taken), taken)
            if not tenant.waiting:
                if not self.waiting:
                    tenant.renew(self._quantum)
                    break
                del tenants[name]
                self._weight -= tenant.weight
            elif tenant.left <= 0:
                is_alone = len(tenants) == 1  # nobody to whom he could owe anything
                tenant.left = self._quantum * tenant.weight + (0 if is_alone else tenant.left)
                tenants.move_to_end(name)
        return taken

    def _take_alone(self, tenant: _Tenant[Ref], most: int) -> list[Ref]:
        """There is one line, and nobody to whom what is taken could be owed: turns are not counted."""
        (line,) = tenant.lines.values()
        before, is_wanted = len(line), self._is_wanted
        taken: list[Ref] = []
        while line and len(taken) < most:
            ref = line.popleft()
            if is_wanted is None or is_wanted(ref):
                taken.append(ref)
        gone = before - len(line)
        tenant.waiting -= gone
        self.waiting -= gone
        if not line:
            tenant.renew(self._quantum)
        return taken

    def _take_from(self, tenant: _Tenant[Ref], most: int, into: list[Ref]) -> None:
        """What is left of the turns of a tenant and of his first campaign; the latter's turn may end here."""
        campaign, line = next(iter(tenant.lines.items()))
        is_wanted, slots = self._is_wanted, self._slots
        before = len(line)
        spent = 0
        left = min(tenant.left, tenant.of_first) if len(tenant.lines) > 1 else tenant.left
        while line and most and spent < left:
            ref = line.popleft()
            if is_wanted is None or is_wanted(ref):
                into.append(ref)
                most -= 1
                spent += 1 if slots is None else slots(ref)
        gone = before - len(line)
        tenant.waiting -= gone
        self.waiting -= gone
        tenant.left -= spent
        tenant.of_first -= spent
        if not line:
            if tenant.waiting:
                tenant.remove(campaign, self._quantum)
        elif tenant.of_first <= 0:
            tenant.rotate(campaign, self._quantum)

    def ahead(self, sender: Sender) -> int:
        """See `ReadyQueue.ahead`."""
        tenant = self._tenants.get(sender.tenant)
        line = tenant.lines.get(sender.campaign) if tenant is not None else None
        if tenant is None or line is None:
            return 0
        of_tenant = min(tenant.waiting, len(line) * len(tenant.lines))
        return min(self.waiting, of_tenant * self._weight // tenant.weight)


class ReadyQueue(Generic[Ref]):
    """Of one `EgressPath`. `len` counts what waits, wanted or not. `slots` says what a reference costs of a turn (None:
    one slot each)."""

    __slots__ = ("_bulk", "_fair", "_is_wanted", "_slots", "_transactional")

    def __init__(
        self,
        is_wanted: Callable[[Ref], bool] | None = None,
        slots: Callable[[Ref], int] | None = None,
        fair: Fairness = EVEN,
    ) -> None:
        self._is_wanted = is_wanted
        self._slots = slots
        self._fair = fair
        self._transactional: _Turns[Ref] | None = None
        self._bulk: _Turns[Ref] | None = None

    def __len__(self) -> int:
        urgent, bulk = self._transactional, self._bulk
        return (urgent.waiting if urgent is not None else 0) + (bulk.waiting if bulk is not None else 0)

    def count(self, lane: Lane) -> int:
        turns = self._bulk if lane is Lane.BULK else self._transactional
        return turns.waiting if turns is not None else 0

    def ahead(self, lane: Lane, sender: Sender) -> int:
        """How many will be taken before one that its sender put now: those of his own campaign, as many of others in
        the lane as have turns meanwhile, and for bulk all that is transactional. So who has much waiting keeps no place
        from who has little."""
        turns = self._bulk if lane is Lane.BULK else self._transactional
        urgent = self.count(Lane.TRANSACTIONAL) if lane is Lane.BULK else 0
        return urgent + (turns.ahead(sender) if turns is not None else 0)

    def __iter__(self) -> Iterator[Ref]:
        """In no order that counts."""
        return chain(self._transactional or (), self._bulk or ())

    def put(self, ref: Ref, lane: Lane, sender: Sender) -> None:
        turns = self._bulk if lane is Lane.BULK else self._transactional
        (turns or self._begin(lane)).put(ref, sender)

    def put_back(self, ref: Ref, lane: Lane, sender: Sender) -> None:
        """It was taken and not used: it is the first of its campaign."""
        turns = self._bulk if lane is Lane.BULK else self._transactional
        (turns or self._begin(lane)).put_back(ref, sender)

    def take(self, most: int, lane: Lane) -> list[Ref]:
        """Up to `most` references of a lane; fewer only if no more are wanted."""
        turns = self._bulk if lane is Lane.BULK else self._transactional
        return turns.take(most) if turns is not None else []

    def drain(self, lane: Lane) -> list[Ref]:
        """All of a lane, in the order of its turns."""
        return self.take(self.count(lane), lane)

    def _begin(self, lane: Lane) -> _Turns[Ref]:
        quantum = _BULK_QUANTUM if lane is Lane.BULK else _TRANSACTIONAL_QUANTUM
        turns = _Turns(quantum, self._fair, self._is_wanted, self._slots)
        if lane is Lane.BULK:
            self._bulk = turns
        else:
            self._transactional = turns
        return turns
