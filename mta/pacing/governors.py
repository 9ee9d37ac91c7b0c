"""All governors there are, found by their scope; those that nobody needs are forgotten. Pure.

Every path lies in its site's, its provider's (where it has one) and its source's scope; an MX host has a governor where
there is a limit for it, or where it has refused connections. Forgetting is bounded work: a piece at a time.
"""

from collections.abc import Callable
from itertools import count

from mta.model.sender import Sender
from mta.pacing.action import NO_CURB
from mta.pacing.actions import Actions
from mta.pacing.governor import Demand, Governor, Standing, Why
from mta.pacing.passage import Passage
from mta.pacing.scope import OTHER, Scope, ScopeKind
from mta.pacing.settings import Limits, PathSettings
from mta.pacing.streams import Streams
from mta.queue.turnstile import Waiter

_LOOKED_AT = 500
_MOST_HOSTS = 20_000
_MOST_LIMITS = 1_000


class Governors:
    """`wall` tells seconds since the epoch; all times given are monotonic ones. `born_at` is when this daemon began:
    what a life before it used of the rates counts as all that was to be had."""

    def __init__(
        self, actions: Actions, wall: Callable[[], float], *, born_at: float = float("-inf")
    ) -> None:
        self.actions = actions
        self.streams = Streams()
        self._wall = wall
        self._born_at = born_at
        self._known: dict[Scope, Governor] = {}
        self._to_look_at: list[Scope] = []
        self._hosts = 0
        self._numbers = count(1)
        self._shares: dict[Scope, Limits] = {}
        self.first_share: Callable[[Scope, Limits], Limits | None] = _all_of_it
        """Of a scope that no path has used yet and nobody gave a share of."""
        self._limits: dict[Limits, Limits] = {}
        """One object for all that are equal."""

    def __len__(self) -> int:
        return len(self._known)

    def passage(
        self, source: str, site: str, provider: str, settings: PathSettings, owner: Waiter
    ) -> Passage:
        """For a new path, which closes it when it ends."""
        governors = [self._follow(Scope(ScopeKind.SITE, source, site), provider, self._own(settings))]
        if provider != OTHER:
            scope = Scope(ScopeKind.PROVIDER, source, provider)
            governors.append(self._follow(scope, provider, settings.provider))
        governors.append(self._follow(Scope(ScopeKind.SOURCE, source), "", settings.whole_source))
        return Passage(
            tuple(governors),
            provider,
            settings.host_connections,
            self,
            owner,
        )

    def get(self, scope: Scope) -> Governor | None:
        return self._known.get(scope)

    # -- for passages -------------------------------------------------------------------------------------------

    def draw(self) -> int:
        return next(self._numbers)

    def host(self, source: str, host: str, connections: int | None, *, is_refusing: bool) -> Governor | None:
        scope = Scope(ScopeKind.HOST, source, host)
        governor = self._known.get(scope)
        if governor is not None:
            return governor
        is_needed = connections is not None or is_refusing
        if not is_needed and len(self.actions):
            is_needed = self.actions.curb_of_host(source, host, self._wall()) is not NO_CURB
        if not is_needed or self._hosts >= _MOST_HOSTS:
            return None
        self._hosts += 1
        return self._follow(scope, OTHER, Limits(connections=connections))

    def accuse(self, sender: Sender, provider: str, now: float, top: float, why: Why) -> None:
        self.streams.accuse(sender, provider, now, top, why)

    # -- for others ---------------------------------------------------------------------------------------------

    def share(self, scope: Scope, limits: Limits | None) -> None:
        """This node's part of the limits of a scope; None: what it has of those it has not asked for."""
        governor = self._known.get(scope)
        if limits is not None:
            self._shares[scope] = limits
        else:
            self._shares.pop(scope, None)
            limits = self.first_share(scope, governor.configured) if governor is not None else None
        if governor is not None:
            governor.share(limits)

    def share_anew(self) -> None:
        """What it has of limits that it has not asked for is another now."""
        for scope, governor in self._known.items():
            if scope not in self._shares:
                governor.share(self.first_share(scope, governor.configured))

    def demands(self) -> list[Demand]:
        """What each scope with limits has and needs. `messages` counts since the call before."""
        demands = (governor.demand() for governor in self._known.values() if governor.users)
        return [demand for demand in demands if demand is not None]

    def list(self, now: float) -> list[Standing]:
        """Each scope that is slowed or held, and why."""
        rows = (governor.standing(now) for governor in self._known.values())
        return [row for row in rows if row is not None]

    def wake(self) -> None:
        """Actions have changed: whoever waits looks again."""
        for governor in self._known.values():
            if governor.line is not None or governor.connection_line is not None:
                governor.look_again()

    def release(self, scope: Scope) -> bool:
        """Take back what its pace decided; an action stays in force. False: nothing is known of it."""
        governor = self._known.get(scope)
        if governor is None:
            return False
        governor.release()
        return True

    def forget_idle(self, now: float) -> None:
        """Look at some, and forget those that nobody uses and that have nothing to remember."""
        if not self._to_look_at:
            self._to_look_at = list(self._known)
        for scope in self._to_look_at[-_LOOKED_AT:]:
            governor = self._known[scope]
            if governor.is_idle:
                governor.look(now)
                if governor.has_rested(now):
                    self._hosts -= scope.kind is ScopeKind.HOST
                    del self._known[scope]
        del self._to_look_at[-_LOOKED_AT:]

    # -- inside -------------------------------------------------------------------------------------------------

    def _own(self, settings: PathSettings) -> Limits:
        own = Limits(settings.connections, settings.connection_rate, settings.message_rate)
        if len(self._limits) >= _MOST_LIMITS:
            self._limits.clear()
        return self._limits.setdefault(own, own)

    def _follow(self, scope: Scope, provider: str, limits: Limits) -> Governor:
        governor = self._known.get(scope)
        if governor is None:
            governor = Governor(scope, provider, limits, self.actions, self._wall, self._born_at)
            self._known[scope] = governor
            share = self._shares.get(scope) or self.first_share(scope, limits)
            if share is not None:
                governor.share(share)
        else:
            governor.follow(limits)
        return governor


def _all_of_it(scope: Scope, limits: Limits) -> None:
    """Of a node that shares with nobody."""
