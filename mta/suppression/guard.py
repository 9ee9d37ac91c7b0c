"""When many of a domain turn out invalid at once, the domain is broken and not its recipients: a lost directory, a
tenant set up wrong, a block that is worded like an unknown user. Then nobody there is suppressed for a day. Pure.

Counted are recipients that were delivered to or refused for good, by domain, in the last 30 to 60 minutes. A domain is
guarded when of at least 20 more than 30 % were `invalid_recipient`, or more than three times its own share of the last
seven days (which must be known by 200 recipients; below 5 % nobody is alarmed). One node counts what passes through it.

A report that comes after delivery is a word on the directory, too: behind a gateway that takes everything there is no
other. Its recipient was counted when it was delivered to, so it is one more invalid one among those; where they are not
enough (another node sent them, or it was long ago) the reports stand for themselves.
"""

from collections.abc import Callable
from math import exp

from msgspec import Struct
from msgspec.structs import replace

from mta.model.outcome import BounceClass, Bounced, Delivered, Outcome

GUARDED = "domain_guard"
"""The detail of a verdict on which the guard has a say."""
GUARD_S = 86_400.0
_HALF_HOUR_S = 1_800.0
_WEEK_S = 7 * 86_400.0
_LEAST_COUNT = 20
_LEAST_INVALID = 7
"""More than 30 % of 20."""
_MOST_SHARE = 0.30
_TIMES_USUAL = 3.0
_LEAST_SHARE = 0.05
_LEAST_KNOWN = 200.0


class Guarded(Struct, frozen=True, gc=False):
    """Why a domain is guarded, and until when. `usual` is its share of the last seven days; -1.0: not known."""

    domain: str
    invalid: int
    count: int
    usual: float
    until: float


class _Tally:
    """`began` is the start of the present half hour; `week_…` decay and hold what is older than the last one."""

    __slots__ = ("began", "count", "invalid", "last_count", "last_invalid", "week_count", "week_invalid")

    def __init__(self, began: float) -> None:
        self.began = began
        self.count = self.invalid = self.last_count = self.last_invalid = 0
        self.week_count = self.week_invalid = 0.0

    def turn(self, now: float) -> None:
        """The half hour is over."""
        keep = exp(-(now - self.began) / _WEEK_S)
        self.week_count = self.week_count * keep + self.last_count
        self.week_invalid = self.week_invalid * keep + self.last_invalid
        self.last_count, self.last_invalid = self.count, self.invalid
        if now - self.began >= 2 * _HALF_HOUR_S:
            self.week_count += self.last_count
            self.week_invalid += self.last_invalid
            self.last_count = self.last_invalid = 0
        self.count = self.invalid = 0
        self.began = now


class DomainGuard:
    """Holds the `most` domains that had mail last. `on_guarded` hears when one comes to be guarded. `now` is seconds
    that never go back."""

    def __init__(
        self, on_guarded: Callable[[Guarded], None] = lambda guarded: None, *, most: int = 20_000
    ) -> None:
        self._on_guarded = on_guarded
        self._most = most
        self._tallies: dict[str, _Tally] = {}
        self._until: dict[str, float] = {}

    def is_guarded(self, domain: str, now: float) -> bool:
        until = self._until.get(domain) if self._until else None
        if until is None:
            return False
        if until > now:
            return True
        del self._until[domain]
        return False

    def judged(self, domain: str, outcome: Outcome, now: float) -> Outcome:
        """Counts what became of a recipient, and takes the suppression out of a verdict on a guarded domain."""
        if isinstance(outcome, Delivered):
            self.note(domain, False, now)
            return outcome
        if not isinstance(outcome, Bounced):
            return outcome
        verdict = outcome.verdict
        is_invalid = verdict.bounce_class is BounceClass.INVALID_RECIPIENT
        self.note(domain, is_invalid, now)
        accuses = is_invalid or verdict.bounce_class is BounceClass.INACTIVE_RECIPIENT
        if not accuses or not self.is_guarded(domain, now):
            return outcome
        return replace(outcome, verdict=verdict.in_doubt(GUARDED))

    def note(self, domain: str, is_invalid: bool, now: float) -> None:
        """A recipient was delivered to, or refused for good."""
        tally = self._tally(domain, now)
        tally.count += 1
        if is_invalid:
            tally.invalid += 1
            self._look(domain, tally, now)

    def reported(self, domain: str, now: float) -> None:
        """A recipient that was delivered to turned out to be invalid."""
        tally = self._tally(domain, now)
        tally.invalid += 1
        self._look(domain, tally, now)

    def _tally(self, domain: str, now: float) -> _Tally:
        tally = self._tallies.get(domain)
        if tally is None or now - tally.began >= _HALF_HOUR_S:
            tally = self._turned(domain, tally, now)
        return tally

    def _turned(self, domain: str, tally: _Tally | None, now: float) -> _Tally:
        """A new half hour; who has one is the last to be forgotten."""
        if tally is None:
            tally = _Tally(now)
        else:
            del self._tallies[domain]
            tally.turn(now)
        self._tallies[domain] = tally
        if len(self._tallies) > self._most:
            del self._tallies[next(iter(self._tallies))]
        return tally

    def _look(self, domain: str, tally: _Tally, now: float) -> None:
        invalid = tally.invalid + tally.last_invalid
        count = max(tally.count + tally.last_count, invalid)
        if count < _LEAST_COUNT or invalid < _LEAST_INVALID or self.is_guarded(domain, now):
            return
        usual = tally.week_invalid / tally.week_count if tally.week_count >= _LEAST_KNOWN else -1.0
        most = _MOST_SHARE if usual < 0 else min(_MOST_SHARE, max(_TIMES_USUAL * usual, _LEAST_SHARE))
        if invalid <= most * count:
            return
        if len(self._until) >= self._most:
            del self._until[next(iter(self._until))]
        self._until[domain] = now + GUARD_S
        self._on_guarded(Guarded(domain, invalid, count, usual, now + GUARD_S))
