"""When a campaign is stopped: its shares of complaints, of refusals as spam and of unknown users, each against its
bound. Pure; times are seconds since the epoch, of the stream.

Counts come from MTA_EVENTS, so they are those of all nodes, whoever heard of it. They are kept in slots of the window;
an event that the stream has twice counts twice, which a share does not notice. Names are tokens of subjects.

Payloads without a campaign are nobody's mailing: they are not counted.

Bounded: of so many campaigns; the one heard of least lately is forgotten first.
"""

from collections import OrderedDict
from collections.abc import Callable
from enum import IntEnum

import msgspec
from msgspec import Struct, field

from mta.jetstream.subjects import EMPTY
from mta.model.event import EventType
from mta.model.outcome import BounceClass
from mta.model.report import NO_COMPLAINTS
from mta.pacing.rules import BreakerSettings

_MOST_CAMPAIGNS = 10_000
_SLOTS = 96
"""Of a window: a day is counted by the quarter of an hour, and what is older than it is forgotten so late at most."""
_SPAM = frozenset(
    {
        BounceClass.SPAM_CONTENT,
        BounceClass.VIRUS,
        BounceClass.DOMAIN_BLOCKED,
        BounceClass.LOW_REPUTATION,
    }
)
_UNKNOWN = frozenset({BounceClass.INVALID_RECIPIENT, BounceClass.INACTIVE_RECIPIENT})


class Fact(IntEnum):
    """What became of a recipient. The first two are told of by a subject alone, the rest by the event."""

    DELIVERED = 0
    EXPIRED = 1
    SPAM = 2
    UNKNOWN = 3
    REFUSED = 4
    """For another reason."""
    COMPLAINED = 5
    FOUND_UNKNOWN = 6
    """After it was delivered: it counts once as an outcome."""


_OUTCOMES = (Fact.DELIVERED, Fact.EXPIRED, Fact.SPAM, Fact.UNKNOWN, Fact.REFUSED)

Campaign = tuple[str, str]
"""Tokens of tenant and campaign."""


class Trip(Struct, frozen=True, gc=False):
    """A campaign that is to be stopped, and why."""

    campaign: Campaign
    reason: str


class _Bounce(Struct, frozen=True, gc=False):
    bounce_class: str = field(name="class", default="")


class _Feedback(Struct, frozen=True, gc=False):
    feedback_type: str = ""


class _Heard(Struct, frozen=True, gc=False):
    type: str
    bounce: _Bounce = _Bounce()
    feedback: _Feedback = _Feedback()
    dry_run: bool = False


_HEARD = msgspec.json.Decoder(_Heard)


class _Counts:
    """Of one campaign: counts of the facts by the number of their slot, which come in any order. What is at or before
    `floor` does not count."""

    __slots__ = ("_slots", "floor", "totals")

    def __init__(self) -> None:
        self._slots: dict[int, list[int]] = {}
        self.totals = [0] * len(Fact)
        self.floor = 0.0

    def add(self, fact: Fact, count: int, slot: int) -> None:
        counts = self._slots.get(slot)
        if counts is None:
            counts = self._slots[slot] = [0] * len(Fact)
        counts[fact] += count
        self.totals[fact] += count

    def age(self, oldest: int) -> None:
        for slot in [slot for slot in self._slots if slot < oldest]:
            counts = self._slots.pop(slot)
            self.totals = [total - count for total, count in zip(self.totals, counts, strict=True)]

    def clear(self) -> None:
        self._slots.clear()
        self.totals = [0] * len(Fact)


class Breaker:
    """`settings_of` gives the bounds for a tenant."""

    def __init__(self, settings_of: Callable[[str], BreakerSettings]) -> None:
        self._settings_of = settings_of
        self._campaigns: OrderedDict[Campaign, _Counts] = OrderedDict()
        self._touched: set[Campaign] = set()

    def __len__(self) -> int:
        return len(self._campaigns)

    def count(self, campaign: Campaign, fact: Fact, at: float, count: int = 1) -> None:
        tenant, name = campaign
        settings = self._settings_of(tenant)
        if name == EMPTY or not settings.is_on:
            return
        counts = self._of(campaign)
        if at > counts.floor:
            counts.add(fact, count, int(at * _SLOTS / settings.window_s))
            self._touched.add(campaign)

    def begin_anew(self, campaign: Campaign, at: float) -> None:
        """Only what comes after `at` counts: it was paused or resumed then, by somebody who knew all before."""
        counts = self._of(campaign)
        if at > counts.floor:
            counts.floor = at
            counts.clear()

    def due(self, now: float) -> list[Trip]:
        """Those that have passed a bound. They are named again until they `begin_anew`."""
        tripped = []
        for campaign in list(self._touched):
            reason = self._reason(campaign, now)
            if reason:
                tripped.append(Trip(campaign, reason))
            else:
                self._touched.discard(campaign)
        return tripped

    def _of(self, campaign: Campaign) -> _Counts:
        counts = self._campaigns.get(campaign)
        if counts is None:
            counts = self._campaigns[campaign] = _Counts()
            if len(self._campaigns) > _MOST_CAMPAIGNS:
                self._touched.discard(self._campaigns.popitem(last=False)[0])
        else:
            self._campaigns.move_to_end(campaign)
        return counts

    def _reason(self, campaign: Campaign, now: float) -> str:
        counts = self._campaigns.get(campaign)
        if counts is None:
            return ""
        settings = self._settings_of(campaign[0])
        counts.age(int((now - settings.window_s) * _SLOTS / settings.window_s) + 1)
        totals = counts.totals
        delivered, outcomes = totals[Fact.DELIVERED], sum(totals[fact] for fact in _OUTCOMES)
        unknown = totals[Fact.UNKNOWN] + totals[Fact.FOUND_UNKNOWN]
        complaints = _over(
            totals[Fact.COMPLAINED], delivered, settings.complaint_share, settings.least_delivered
        )
        spam = _over(totals[Fact.SPAM], outcomes, settings.spam_share, settings.least_outcomes)
        unknown_users = _over(unknown, outcomes, settings.unknown_share, settings.least_outcomes)
        for said, over in (
            ("complaints about mail delivered", complaints),
            ("recipients refused as spam", spam),
            ("recipients unknown", unknown_users),
        ):
            if over:
                return f"{said}: {over} within {settings.window_s / 3600:.3g} h"
        return ""


def _over(count: int, of: int, bound: float, least: int) -> str:
    """The share in words if it passes its bound; empty where it does not, or where nothing can be said yet. A bound of
    0.0 is none."""
    if not bound or of < max(least, 1) or count <= bound * of:
        return ""
    return f"{count:,} of {of:,}, {count / of:.2%} where {bound:.2%} is the bound,"


def fact_of(line: bytes) -> Fact | None:
    """Of one event that is not known by its subject alone; None: it says nothing here, or cannot be read."""
    try:
        heard = _HEARD.decode(line)
    except msgspec.MsgspecError:
        return None
    if heard.dry_run:
        return None
    kind = heard.bounce.bounce_class
    match heard.type:
        case EventType.COMPLAINED:
            return None if heard.feedback.feedback_type.lower() in NO_COMPLAINTS else Fact.COMPLAINED
        case EventType.OOB_BOUNCED:
            return Fact.FOUND_UNKNOWN if kind in _UNKNOWN else None
        case EventType.BOUNCED if kind in _SPAM:
            return Fact.SPAM
        case EventType.BOUNCED if kind in _UNKNOWN:
            return Fact.UNKNOWN
        case EventType.BOUNCED:
            return Fact.REFUSED
        case _:
            return None
