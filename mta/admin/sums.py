"""What waits, summed up by whose it is and where it goes, with what binds it. Pure; times are seconds since the epoch.

The streams say what is stored, the nodes what of it they have in hand: that is counted once, as the nodes have it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from msgspec import Struct, field

from mta.admin.eta import FOREVER, Load
from mta.admin.lately import Key
from mta.admin.view import HandView
from mta.intake.orders import NO_CAMPAIGN
from mta.jetstream.schedule import Held

_MINUTE_S = 60.0
NOT_ROUTED = ""


class Cause(Struct, frozen=True):
    """What keeps `count` recipients from going faster. `until` 0.0: no time is known. `is_grave`: nothing goes
    meanwhile."""

    count: int
    kind: str
    text: str
    until: float = 0.0
    is_grave: bool = False


class Part(Struct):
    """Of one key. `now` may go at once, of which `in_hand` are with a node and `on_wire` being sent; `later` counts by
    the minute in which they are due, `reasons` why they wait. `is_about`: some of it is an estimate."""

    now: int = 0
    in_hand: int = 0
    ready: int = 0
    on_wire: int = 0
    later: Counter[float] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    next_due: float = 0.0
    ended: int = 0
    rate: float = 0.0
    oldest: float = 0.0
    is_about: bool = False

    @property
    def is_empty(self) -> bool:
        return not (self.now or self.later)

    def wait(self, at: float, count: int, reason: str) -> None:
        """To the end of its minute: a recipient is not said to be done before he is due."""
        self.later[-(-at // _MINUTE_S) * _MINUTE_S] += count
        self.reasons[reason] += count
        self.next_due = min(self.next_due or at, at)

    def add(self, other: "Part") -> None:
        self.now += other.now
        self.in_hand += other.in_hand
        self.ready += other.ready
        self.on_wire += other.on_wire
        self.later.update(other.later)
        self.reasons.update(other.reasons)
        self.ended += other.ended
        self.rate += other.rate
        self.is_about |= other.is_about
        self.next_due = min(filter(None, (self.next_due, other.next_due)), default=0.0)
        self.oldest = min(filter(None, (self.oldest, other.oldest)), default=0.0)


class Sums:
    """All that was counted, by key."""

    def __init__(self) -> None:
        self.parts: dict[Key, Part] = {}

    def part(self, lane: str, tenant: str, campaign: str, provider: str) -> Part:
        return self.parts.setdefault(Key(lane, tenant, campaign, provider), Part())

    def add_fresh(self, lane: str, tenant: str, campaign: str, recipients: int, *, is_exact: bool) -> None:
        """In the stream and with nobody yet: where they go is not known before they are taken up."""
        part = self.part(lane, tenant, campaign, NOT_ROUTED)
        part.now += recipients
        part.is_about |= not is_exact and recipients > 0

    def add_held(self, lane: str, tenant: str, campaign: str, at: float, held: Held) -> None:
        """One message of MTA_RETRY that is with nobody; `at` 0.0: it is due."""
        for provider, count in held.providers.items():
            part = self.part(lane, tenant, campaign, provider)
            if at:
                part.wait(at, count, held.reason)
            else:
                part.now += count

    def add_hand(self, view: HandView) -> None:
        for row in view.rows:
            part = self.part(row.lane, row.tenant, row.campaign or NO_CAMPAIGN, row.provider)
            if row.later:
                part.wait(view.at, row.later, "deferred")
            hand = row.waiting + row.ready + row.on_wire
            part.now += hand
            part.in_hand += hand
            part.ready += row.ready
            part.on_wire += row.on_wire
            part.ended += row.ended
            part.rate += row.rate
            part.oldest = min(filter(None, (part.oldest, row.oldest)), default=0.0)

    def only(self, is_wanted: Callable[[Key], bool]) -> None:
        self.parts = {key: part for key, part in self.parts.items() if is_wanted(key)}


def fresh_in_hand(views: Iterable[HandView]) -> Counter[tuple[str, str, str]]:
    """Payloads of MTA_PAYLOADS that nodes have in work, by (lane, tenant, campaign)."""
    found: Counter[tuple[str, str, str]] = Counter()
    for view in views:
        for row in view.fresh:
            found[row.lane, row.tenant, row.campaign or NO_CAMPAIGN] += row.payloads
    return found


def load_of(part: Part, until: float, *, is_routed: bool) -> Load:
    """What waits of it, for arithmetic. Held back `until` then (FOREVER: until somebody lets it go; 0.0: it is not)."""
    if until == FOREVER:
        return Load(held=part.now + part.later.total(), rate=part.rate, is_routed=is_routed)
    if until:
        later: Counter[float] = Counter()
        for at, count in part.later.items():
            later[max(at, until)] += count
        later[until] += part.now
        return Load(later=tuple(sorted(later.items())), rate=part.rate, is_routed=is_routed)
    return Load(part.now, tuple(sorted(part.later.items())), rate=part.rate, is_routed=is_routed)


def ranked(causes: Iterable[Cause]) -> list[Cause]:
    """The same thing said once, with the sum of whom it keeps; the heaviest first."""
    sums: dict[tuple[str, str], Cause] = {}
    for cause in causes:
        known = sums.get((cause.kind, cause.text))
        count = cause.count + (known.count if known is not None else 0)
        until = max(cause.until, known.until if known is not None else 0.0)
        sums[cause.kind, cause.text] = Cause(count, cause.kind, cause.text, until, cause.is_grave)
    return sorted(sums.values(), key=lambda cause: (-cause.count, cause.text))


def totals(parts: Mapping[Key, Part], key_of: Callable[[Key], str]) -> dict[str, Part]:
    """Summed by what `key_of` makes of a key."""
    found: dict[str, Part] = {}
    for key, part in parts.items():
        found.setdefault(key_of(key), Part()).add(part)
    return found
