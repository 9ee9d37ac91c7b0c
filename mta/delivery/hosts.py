"""What was learned of hosts and addresses: is pattern C safe there, is its STARTTLS broken or gone, does it answer.
Pure; bounded; forgets.
"""

from collections import OrderedDict
from typing import Generic, TypeVar

from mta.model.path import MxHost
from mta.model.tls import TlsDoubt

_C_VERDICT_S = 7 * 86400  # pipelining.md: remember "no C" per host for 7 days
_TLS_BROKEN_S = 86400  # T-03: remember per host for 24 h
_TLS_OFFERED_S = 7 * 86400  # D4: long enough to notice what is gone after a weekend
_TLS_GONE_S = 86400
_TLS_DOUBT_S = 3600  # a policy that only tests: look again within the hour
_ADDRESS_DEAD_S = (
    1800  # C8: longer than the first steps of a retry schedule, so that these do not meet it again
)
_FAMILY_DEAD_S = 300
_FAMILY_FAILURES = 5  # addresses in a row, all without an answer, before IPv6 as a whole is doubted
_MOST = 50_000

Target = tuple[MxHost, str]
"""A host and one of its addresses; an empty one: the name is resolved when it is connected to."""
Fact = TypeVar("Fact")


class HostMemory:
    """Facts with an end, by host name and port, or by source and address. Times are seconds since the epoch."""

    def __init__(self) -> None:
        self._c_works: _Facts[bool] = _Facts(_C_VERDICT_S)
        self._tls_broken: _Facts[bool] = _Facts(_TLS_BROKEN_S)
        self._tls_offered: _Facts[bool] = _Facts(_TLS_OFFERED_S)
        self._tls_gone: _Facts[bool] = _Facts(_TLS_GONE_S)
        self._tls_doubts: _Facts[TlsDoubt] = _Facts(_TLS_DOUBT_S)
        self._dead: _Facts[bool] = _Facts(_ADDRESS_DEAD_S)
        self._ipv6_failures: dict[str, int] = {}
        self._ipv6_dead: _Facts[bool] = _Facts(_FAMILY_DEAD_S)

    def learn_c(self, host: str, works: bool, now: float) -> None:
        self._c_works.put(host, works, now)

    def c_works(self, host: str, now: float) -> bool | None:
        """None: not known (any more), to be learned."""
        return self._c_works.get(host, now)

    def learn_tls_broken(self, host: str, now: float) -> None:
        self._tls_broken.put(host, True, now)

    def is_tls_broken(self, host: str, now: float) -> bool:
        return bool(self._tls_broken.get(host, now))

    def learn_tls_doubt(self, host: str, doubt: TlsDoubt, now: float) -> None:
        """The host falls short of what a policy that only tests would demand."""
        self._tls_doubts.put(host, doubt, now)

    def tls_doubt(self, host: str, now: float) -> TlsDoubt | None:
        return self._tls_doubts.get(host, now)

    def note_offer(self, host: str, is_offered: bool, now: float) -> bool:
        """Whether STARTTLS is gone that was there before (D4): true once, then the new state is the known one; and once
        a day where it comes and goes, as with machines of several kinds behind one name."""
        if is_offered:
            self._tls_offered.put(host, True, now)
            return False
        is_gone = self._tls_offered.pop(host, now) is not None and self._tls_gone.get(host, now) is None
        if is_gone:
            self._tls_gone.put(host, True, now)
        return is_gone

    def note_dead(self, source: str, target: Target, now: float) -> None:
        """No connection to it, or none that got as far as mail."""
        self._dead.put(_key(source, target), True, now)
        if _is_ipv6(target):
            failures = self._ipv6_failures[source] = self._ipv6_failures.get(source, 0) + 1
            if failures >= _FAMILY_FAILURES:
                self._ipv6_dead.put(source, True, now)

    def note_alive(self, source: str, target: Target, now: float) -> None:
        if self._dead:
            self._dead.pop(_key(source, target), now)
        if _is_ipv6(target):
            self._ipv6_failures.pop(source, None)
            self._ipv6_dead.pop(source, now)

    def ranked(self, source: str, targets: list[Target], now: float) -> list[Target]:
        """Those that are not known to be dead first, each part in its order: what is dead is tried when nothing else
        is left. Where IPv6 as a whole does not answer, its addresses are of the dead."""
        if not self._dead:
            return targets
        is_ipv6_dead = bool(self._ipv6_dead.get(source, now))

        def is_dead(target: Target) -> bool:
            return (is_ipv6_dead and _is_ipv6(target)) or bool(self._dead.get(_key(source, target), now))

        return sorted(targets, key=is_dead)


def _key(source: str, target: Target) -> str:
    host, address = target
    return f"{source} {address or host.name}:{host.port}"


def _is_ipv6(target: Target) -> bool:
    return ":" in target[1]


class _Facts(Generic[Fact]):
    """Each with the same life; when there are too many the one told longest ago is forgotten."""

    def __init__(self, life_s: float) -> None:
        self._life_s = life_s
        self._known: OrderedDict[str, tuple[Fact, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def put(self, key: str, fact: Fact, now: float) -> None:
        self._known[key] = (fact, now + self._life_s)
        self._known.move_to_end(key)
        if len(self._known) > _MOST:
            self._known.popitem(last=False)

    def get(self, key: str, now: float) -> Fact | None:
        """Not what was told by a clock that was ahead: it would hold for as much longer."""
        known = self._known.get(key)
        return known[0] if known is not None and now < known[1] <= now + 2 * self._life_s else None

    def pop(self, key: str, now: float) -> Fact | None:
        fact = self.get(key, now)
        self._known.pop(key, None)
        return fact
