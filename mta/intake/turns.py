"""Which bulk campaign may ask next: tenants in turn, and the campaigns of one in turn, measured in recipients. Pure.

Payloads of one hold ten recipients, those of another a thousand: it is the recipients that are counted (start-time fair
queueing, Goyal et al. 1996). Each tenant has a clock of what was taken of his, by his weight, each campaign one of its
own; the one that is furthest behind is next. Whoever had nothing to take for a while is set to the time of the others:
nobody saves turns.
"""

from collections.abc import Callable, Collection


class _Clock:
    __slots__ = ("at", "is_waiting")

    def __init__(self) -> None:
        self.at = 0.0
        self.is_waiting = False


class _Clocks:
    """Of those that take turns at one thing. `now` is the time at which the last turn began."""

    def __init__(self) -> None:
        self.clocks: dict[str, _Clock] = {}
        self.now = 0.0

    def wait(self, waiting: Collection[str]) -> None:
        """These are all that wait now."""
        for name, clock in self.clocks.items():
            if name not in waiting:
                clock.is_waiting = False
        for name in waiting:
            clock = self.clocks.setdefault(name, _Clock())
            if not clock.is_waiting:
                clock.is_waiting = True
                clock.at = max(clock.at, self.now)

    def first(self, names: Collection[str]) -> str:
        name = min(names, key=lambda name: self.clocks[name].at)
        self.now = max(self.now, self.clocks[name].at)
        return name

    def forget(self, name: str) -> None:
        self.clocks.pop(name, None)


class Turns:
    """Of campaigns by name, each of a tenant. `weight(tenant)` says how many times the recipients of another he has."""

    def __init__(self, weight: Callable[[str], int]) -> None:
        self._weight = weight
        self._tenants = _Clocks()
        self._campaigns: dict[str, _Clocks] = {}
        self._tenant_of: dict[str, str] = {}

    def add(self, name: str, tenant: str) -> None:
        self._tenant_of[name] = tenant

    def remove(self, name: str) -> None:
        tenant = self._tenant_of.pop(name, None)
        if tenant is None:
            return
        if tenant in self._campaigns:
            self._campaigns[tenant].forget(name)
        if tenant not in self._tenant_of.values():
            self._campaigns.pop(tenant, None)
            self._tenants.forget(tenant)

    def siblings(self, name: str) -> list[str]:
        """The campaigns of its tenant, itself among them."""
        tenant = self._tenant_of[name]
        return [one for one, of in self._tenant_of.items() if of == tenant]

    def wait(self, names: Collection[str]) -> None:
        """These have something to take, and all others have not."""
        by_tenant: dict[str, list[str]] = {}
        for name in names:
            by_tenant.setdefault(self._tenant_of[name], []).append(name)
        self._tenants.wait(by_tenant)
        for tenant in self._tenants.clocks:
            self._campaigns.setdefault(tenant, _Clocks()).wait(by_tenant.get(tenant, ()))

    def first(self, names: Collection[str]) -> str:
        """Whose turn it is of these, all of which wait."""
        tenant = self._tenants.first([self._tenant_of[name] for name in names])
        return self._campaigns[tenant].first([name for name in names if self._tenant_of[name] == tenant])

    def charge(self, name: str, recipients: float) -> None:
        """It took so many; fewer than nothing where it was charged for more than came."""
        tenant = self._tenant_of.get(name, "")
        campaigns = self._campaigns.get(tenant)
        if campaigns is not None and name in campaigns.clocks:
            self._tenants.clocks[tenant].at += recipients / self._weight(tenant)
            campaigns.clocks[name].at += recipients
