"""One scope: what it may have of connections and messages, what it has, and who waits for more. Pure.

What binds is the least of four: its configured limits, its share where a fleet has them in common, the actions in
force, and its pace. All paths under the scope take from the same rate and the same count, in turn.
"""

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from mta.pacing.action import NO_CURB, Curb
from mta.pacing.actions import Actions
from mta.pacing.pace import Pace, PaceState
from mta.pacing.scope import OTHER, Scope, ScopeKind
from mta.pacing.settings import Limits, PaceSettings
from mta.queue.settings import RateLimit
from mta.queue.throttle import Rate
from mta.queue.turnstile import Turnstile, Waiter

_LOOK_S = 5.0
_SAME_S = 1.0  # ends that differ by less are one: two clocks are compared
_REMEMBERED_S = (
    60.0  # a suspension that ended longer ago asks for no careful beginning of whoever comes only now
)
_NO_LIMITS = Limits()
_PACE = PaceSettings()
_INFINITE = float("inf")  # one object: there may be a hundred thousand scopes
_NEVER = -_INFINITE


class Holder(Protocol):
    """Whoever has connections of a scope."""

    def wake(self) -> None:
        """Somebody waits for one of them, or there are too many."""
        ...


class Why(Struct, frozen=True, gc=False):
    """The refusal that slowed a scope; `at` is seconds since the epoch."""

    at: float
    reply: str
    bounce_class: str
    provider_code: str = ""


class Standing(Struct, frozen=True, kw_only=True):
    """A scope that is slowed or held. `until` is when it may be tried again (seconds since the epoch, None: it is being
    tried), rates are messages a second, None where nothing limits them."""

    scope: Scope
    state: PaceState
    connections: int
    connections_of: int | None
    rate: float | None
    rate_of: float | None
    since: float
    until: float | None
    reply: str
    bounce_class: str


class Demand(Struct, frozen=True, kw_only=True):
    """What a scope that has limits has and needs: connections in use, paths that wait for one, messages sent since the
    time before, and paths that wait to send one."""

    scope: Scope
    limits: Limits
    connections: int
    connections_waited_for: int
    messages: int
    messages_waited_for: int


class Governor:
    """Times are monotonic seconds; `wall` tells those of the epoch, which actions have. What its rates granted before
    `born_at` nobody knows any more: another life of this daemon may have used them to the full."""

    __slots__ = (
        "_actions",
        "_born_at",
        "_configured",
        "_connection_limit",
        "_connection_rate",
        "_curb",
        "_curbed_until",
        "_provider",
        "_share",
        "_told",
        "_version",
        "_wall",
        "_why",
        "connection_line",
        "granted",
        "held_until",
        "holders",
        "in_use",
        "line",
        "look_at",
        "most",
        "pace",
        "rate",
        "scope",
        "users",
    )

    def __init__(
        self,
        scope: Scope,
        provider: str,
        limits: Limits,
        actions: Actions,
        wall: Callable[[], float],
        born_at: float,
    ) -> None:
        self.scope = scope
        self.users = 0
        """Paths under it."""
        self.in_use = 0
        self.granted = 0
        self.most = _INFINITE
        self.rate: Rate | None = None
        self.held_until = _NEVER
        """Nothing goes before."""
        self._connection_limit: RateLimit | None = None
        self._connection_rate: Rate | None = None
        self.line: Turnstile | None = None
        self.connection_line: Turnstile | None = None
        self.holders: dict[Holder, int] | None = None
        self.look_at = _NEVER
        self.pace: Pace | None = None
        self._provider = provider
        self._configured = limits
        self._share: Limits | None = None
        self._actions = actions
        self._wall = wall
        self._born_at = born_at
        self._version = -1
        self._curb = NO_CURB
        self._curbed_until = _NEVER
        self._told = 0
        self._why: Why | None = None

    # -- what it may have ---------------------------------------------------------------------------------------

    def follow(self, limits: Limits) -> None:
        """What is configured now."""
        if limits != self._configured:
            self._configured = limits
            self.look_again()

    @property
    def configured(self) -> Limits:
        return self._configured

    def share(self, limits: Limits | None) -> None:
        """Its part of limits that a fleet has in common; None: all of them."""
        if limits != self._share:
            self._share = limits
            self.look_again()

    def look_again(self) -> None:
        """Something has changed: at the next question."""
        self.look_at = _NEVER
        for line in (self.line, self.connection_line):
            if line is not None:
                line.wake_all()

    def look_if_due(self, now: float) -> None:
        if now >= self.look_at or self._version != self._actions.version:
            self.look(now)

    def look(self, now: float) -> None:
        """Put together what holds now."""
        self._look_at_actions(now)
        limits = [limits for limits in (self._configured, self._share) if limits is not None]
        rates = [limit.message_rate for limit in limits if limit.message_rate is not None]
        if self._curb.message_rate is not None:
            rates.append(self._curb.message_rate)
        counts: list[float] = [limit.connections for limit in limits if limit.connections is not None]
        if self._curb.connections is not None:
            counts.append(self._curb.connections)
        rate = min(rates, key=_per_second, default=None)
        most = min(counts, default=_INFINITE)
        self.look_at = _INFINITE
        if self.pace is not None:
            rate, most = self._look_at_pace(self.pace, rate, most, now)
        if self._curb is not NO_CURB:
            self.look_at = min(self.look_at, now + _LOOK_S)
        self.most = most
        self.rate = self._tuned(self.rate, rate, now)
        openings = [limit.connection_rate for limit in limits if limit.connection_rate is not None]
        opening = min(openings, key=_per_second, default=None)
        self._connection_limit = opening
        if self._connection_rate is not None:
            self._connection_rate = self._tuned(self._connection_rate, opening, now)
        self.held_until = self.pace.silent_until if self.pace is not None else _NEVER

    def _tuned(self, rate: Rate | None, limit: RateLimit | None, now: float) -> Rate | None:
        if limit is None:
            return None
        if rate is None:
            return Rate(limit, used_until=self._born_at)
        rate.retune(limit, now)
        return rate

    def _look_at_pace(
        self, pace: Pace, rate: RateLimit | None, most: float, now: float
    ) -> tuple[RateLimit | None, float]:
        pace.settle(now, _per_second(rate) if rate is not None else _INFINITE, most)
        most = min(most, pace.connections(now))
        if not pace.is_open and now >= pace.silent_until:
            per_second = pace.rate(now)
            if rate is None or per_second < _per_second(rate):
                rate = RateLimit(per_second, 1.0)
        self.look_at = pace.changes_at(now)
        return rate, most

    def _look_at_actions(self, now: float) -> None:
        if self._version == self._actions.version and self._curb is NO_CURB:
            return
        self._version = self._actions.version
        wall = self._wall()
        curb = self._curb = self._in_force(wall)
        until = now + curb.until - wall
        if curb.until and abs(until - self._curbed_until) > _SAME_S:
            if until > now - _REMEMBERED_S:
                self._paced().silence(until, now)
            self._curbed_until = until
        elif not curb.until and self._curbed_until > now:
            self._curbed_until = _NEVER
            self._paced().end_silence(now)

    def _in_force(self, wall: float) -> Curb:
        """What is in force for the wider scope as well is that one's business."""
        scope, curb = self.scope, self._actions.curb
        match scope.kind:
            case ScopeKind.SITE:
                own = curb(scope.source, self._provider, scope.name, wall)
                wider = curb(scope.source, "" if self._provider == OTHER else self._provider, "", wall)
            case ScopeKind.PROVIDER:
                own, wider = curb(scope.source, scope.name, "", wall), curb(scope.source, "", "", wall)
            case ScopeKind.SOURCE:
                return curb(scope.source, "", "", wall)
            case ScopeKind.HOST:
                return self._actions.curb_of_host(scope.source, scope.name, wall)
        return own if own != wider else NO_CURB

    def expected_per_second(self, now: float) -> float:
        """Messages, for those who ask whether to wait. A share of the fleet's is not looked at: the next one may be
        greater in two seconds."""
        self.look_if_due(now)
        if self._share is None:
            return self.rate.per_second if self.rate is not None else _INFINITE
        limits = (self._configured.message_rate, self._curb.message_rate)
        rates = [_per_second(limit) for limit in limits if limit is not None]
        if self.pace is not None and not self.pace.is_open and now >= self.pace.silent_until:
            rates.append(self.pace.rate(now))
        return min(rates, default=_INFINITE)

    def blocked_until(self, now: float) -> float:
        """`now` or earlier: it is not."""
        if now >= self.look_at:
            self.look(now)
        return self.held_until

    # -- messages -----------------------------------------------------------------------------------------------

    def message_wait(self, now: float, who: Waiter) -> float:
        """Seconds until a message of this path may go, as far as can be said; 0.0: now."""
        if now >= self.look_at:
            self.look(now)
        if now < self.held_until:
            return self.held_until - now
        rate = self.rate
        if rate is None:
            return 0.0
        line = self.line
        if line is None or line.may_pass(who):
            return rate.peek(now)
        return max(rate.peek(now), len(line) / rate.per_second)

    # -- connections --------------------------------------------------------------------------------------------

    def connection_wait(self, now: float, who: Waiter) -> float:
        """Seconds until a connection may be opened, or until it is worth to ask again; infinity: until woken."""
        if now >= self.look_at or self._version != self._actions.version:
            self.look(now)
        if now < self.held_until:
            return self.held_until - now
        if self.connection_line is not None and not self.connection_line.may_pass(who):
            return max(self.look_at - now, _LOOK_S)
        if self.in_use >= self.most:
            return max(self.look_at - now, 0.001)
        if self._connection_rate is None:  # most scopes never open one
            self._connection_rate = self._tuned(None, self._connection_limit, now)
        return self._connection_rate.peek(now) if self._connection_rate is not None else 0.0

    def take_connection(self, now: float, who: Waiter) -> None:
        """After `connection_wait` said now."""
        self.in_use += 1
        if self._connection_rate is not None:
            self._connection_rate.take(now)
        if self.connection_line is not None:
            self.leave(who, is_connection=True)

    def give_back(self) -> None:
        self.in_use -= 1
        if self.connection_line is not None:
            self.connection_line.wake_first()

    @property
    def is_waited_for(self) -> bool:
        """Somebody waits for a connection, and none is free."""
        return bool(self.connection_line) and self.in_use >= self.most

    def queue_up(self, who: Waiter, number: int, *, is_connection: bool) -> None:
        if is_connection:
            if self.connection_line is None:
                self.connection_line = Turnstile()
            self.connection_line.join(who, number)
            if self.in_use >= self.most:
                for holder in list(self.holders or ()):
                    holder.wake()
        else:
            if self.line is None:
                self.line = Turnstile()
            self.line.join(who, number)

    def leave(self, who: Waiter, *, is_connection: bool) -> None:
        line = self.connection_line if is_connection else self.line
        if line is not None:
            line.leave(who)
            if not line:
                if is_connection:
                    self.connection_line = None
                else:
                    self.line = None

    # -- what is noted ------------------------------------------------------------------------------------------

    def note_accepted(self, now: float) -> None:
        pace = self.pace
        if pace is None:
            pace = self._paced()
        if pace.note_accepted(now):
            self.look_again()

    def note_refused(self, now: float, why: Why) -> bool:
        """Whether this slowed it."""
        if not self._paced().note_refused(now, self._top(now)):
            return False
        self._note_why(why)
        return True

    def note_limited(self, now: float, connections: int, why: Why) -> bool:
        if not self._paced().note_limited(now, connections):
            return False
        self._note_why(why)
        return True

    def release(self) -> None:
        """Take back what its pace decided."""
        if self.pace is not None:
            self.pace.release()
        self._why = None
        self.look_again()

    def _note_why(self, why: Why) -> None:
        self._why = why
        self.look_again()

    def _paced(self) -> Pace:
        if self.pace is None:
            self.pace = Pace(_PACE)
        return self.pace

    def _top(self, now: float) -> float:
        return self.rate.per_second if self.rate is not None else _INFINITE

    # -- what is told -------------------------------------------------------------------------------------------

    @property
    def connection_limit(self) -> RateLimit | None:
        """How often it opens one."""
        return self._connection_limit

    @property
    def reply(self) -> str:
        """That slowed it last; empty: none did."""
        return self._why.reply if self._why is not None else ""

    @property
    def is_idle(self) -> bool:
        """Nobody uses it, and it has nothing to remember."""
        return not self.users and not self.in_use

    def has_rested(self, now: float) -> bool:
        if self.pace is not None and not self.pace.is_clear:
            return False
        rates = (self.rate, self._connection_rate)
        return all(rate is None or rate.has_rested(now) for rate in rates)

    def standing(self, now: float) -> Standing | None:
        """None: nothing out of the ordinary."""
        self.look(now)
        pace, why = self.pace, self._why
        if (pace is None or pace.is_clear) and self._curb is NO_CURB:
            return None
        wall = self._wall()
        is_held = pace is not None and now < pace.silent_until
        top = self._configured.message_rate
        return Standing(
            scope=self.scope,
            state=pace.state(now) if pace is not None else PaceState.OPEN,
            connections=self.in_use,
            connections_of=int(self.most) if self.most < _INFINITE else None,
            rate=0.0 if is_held else (self.rate.per_second if self.rate is not None else None),
            rate_of=_per_second(top) if top is not None else None,
            since=why.at if why is not None else wall,
            until=wall + pace.silent_until - now if is_held and pace is not None else None,
            reply=why.reply if why is not None else "",
            bounce_class=why.bounce_class if why is not None else "",
        )

    def demand(self) -> Demand | None:
        """None: it has no limits of its own that could be shared, or needs nothing now."""
        if self.granted == self._told and not (self.in_use or self.line or self.connection_line):
            return None
        if self._configured == _NO_LIMITS or (self._provider == OTHER and self.scope.kind is ScopeKind.HOST):
            return None
        messages, self._told = self.granted - self._told, self.granted
        return Demand(
            scope=self.scope,
            limits=self._configured,
            connections=self.in_use,
            connections_waited_for=len(self.connection_line or ()),
            messages=messages,
            messages_waited_for=len(self.line or ()),
        )


def _per_second(limit: RateLimit) -> float:
    return limit.count / limit.period_s
