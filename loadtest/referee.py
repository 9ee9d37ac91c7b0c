"""Who became what: joins what was asked for, what the sink accepted and what the event stream says.

Written apart from the daemon: it knows the event contract (types, ids, `attempt`) and nothing of the code
that publishes. It relies on each recipient's address being used once in a run.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable
from typing import NamedTuple

import msgspec
from msgspec import Struct

from loadtest.sinklog import Entry

TERMINAL = frozenset({"rejected", "suppressed", "failed", "delivered", "bounced", "expired", "cancelled"})


class Event(Struct, frozen=True, gc=False):
    """The part of an event that matters here; `recipient` is empty where the event is about a whole
    payload."""

    id: str
    type: str
    time: str = ""
    recipient: str = ""
    attempt: int = 0
    ambiguous: bool = False
    node: str = ""


class Misended(NamedTuple):
    recipient: str
    type: str
    right: str


class Ruling(Struct, frozen=True):
    """Every number counts recipients, but `duplicates`, which counts acceptances beyond the first.

    `lost`: no terminal event, or a `delivered` the sink knows nothing of. `false_success` is that second
    part, `unreported` the reverse: accepted by the sink, and the terminal event says otherwise.
    `ended_twice`: two terminal events with different ids. `misnumbered`: attempts that are not 1..n, or one
    after the end. `after_end`: deferred later than ended. `differing`: what the sink got for one recipient were not
    copies of one message. `strangers`: recipients nobody asked for.
    """

    recipients: int
    delivered: int
    ended: dict[str, int]
    lost: int
    duplicates: int
    false_success: int
    unreported: int
    ended_twice: int
    misnumbered: int
    after_end: int
    differing: int
    strangers: int

    @property
    def faults(self) -> tuple[str, ...]:
        """Names of what is not as the contract wants it."""
        counts = {
            "lost": self.lost,
            "duplicates": self.duplicates,
            "unreported": self.unreported,
            "ended_twice": self.ended_twice,
            "misnumbered": self.misnumbered,
            "after_end": self.after_end,
            "differing": self.differing,
            "strangers": self.strangers,
        }
        return tuple(name for name, count in counts.items() if count)


def parse_events(batches: Iterable[bytes]) -> list[Event]:
    """Events of NDJSON batches in order, repeats of an id left out."""
    decoder = msgspec.json.Decoder(Event)
    seen: dict[str, Event] = {}
    for batch in batches:
        for event in decoder.decode_lines(batch):
            seen.setdefault(event.id, event)
    return list(seen.values())


def judge(asked: Collection[str], log: Iterable[Entry], events: Iterable[Event]) -> Ruling:
    """`log` is all that the sink wrote down, or what of it concerns those who were asked for."""
    acceptances: Counter[str] = Counter()
    identities: defaultdict[str, set[str]] = defaultdict(set)
    for entry in log:
        acceptances[entry.recipient] += entry.is_acceptance
        if entry.size_bytes:
            identities[entry.recipient].add(entry.identity)
    ends: defaultdict[str, list[Event]] = defaultdict(list)
    deferrals: defaultdict[str, list[Event]] = defaultdict(list)
    for event in events:
        if event.type in TERMINAL and event.recipient:
            ends[event.recipient].append(event)
        elif event.type == "deferred":
            deferrals[event.recipient].append(event)
    wanted = set(asked)
    delivered = {name for name, of in ends.items() if any(event.type == "delivered" for event in of)}
    false_success = {name for name in delivered & wanted if not acceptances[name]}
    return Ruling(
        recipients=len(wanted),
        delivered=len((delivered & wanted) - false_success),
        ended=dict(Counter(of[0].type for name, of in ends.items() if name in wanted)),
        lost=len(wanted - ends.keys()) + len(false_success),
        duplicates=sum(max(0, count - 1) for count in acceptances.values()),
        false_success=len(false_success),
        unreported=len((+acceptances).keys() & wanted & ends.keys() - delivered),
        ended_twice=sum(1 for of in ends.values() if len(of) > 1),
        misnumbered=sum(
            1 for name in wanted if not _is_numbered(deferrals.get(name, []), ends.get(name, []))
        ),
        after_end=sum(1 for name, of in ends.items() if _goes_on(deferrals.get(name, []), of[0])),
        differing=sum(1 for of in identities.values() if len(of) > 1),
        strangers=len((acceptances.keys() | ends.keys() | deferrals.keys()) - wanted),
    )


def misended(
    expected: Callable[[str], str], asked: Collection[str], events: Iterable[Event]
) -> list[Misended]:
    """Those who ended otherwise than they should have."""
    wanted = set(asked)
    return [
        Misended(event.recipient, event.type, right)
        for event in events
        if event.type in TERMINAL
        and event.recipient in wanted
        and event.type != (right := expected(event.recipient))
    ]


def _goes_on(deferrals: list[Event], end: Event) -> bool:
    """Times are RFC 3339 of one form: they compare as they are written."""
    return any(event.time > end.time for event in deferrals)


def _is_numbered(deferrals: list[Event], ends: list[Event]) -> bool:
    """Deferrals are attempts 1..k; an end that was an attempt is number k+1. Others are no attempt."""
    last = len(deferrals)
    if sorted(event.attempt for event in deferrals) != list(range(1, last + 1)):
        return False
    return all(end.attempt == last + 1 for end in ends if end.type in ("delivered", "bounced"))
