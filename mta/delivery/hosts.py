"""What was learned of MX hosts: is pattern C safe there, is its STARTTLS broken. Pure; bounded; forgets."""

from collections import OrderedDict

_C_VERDICT_S = 7 * 86400  # pipelining.md: remember "no C" per host for 7 days
_TLS_BROKEN_S = 86400  # T-03: remember per host for 24 h
_MOST_HOSTS = 50_000


class HostMemory:
    """Facts by host name (with its port), each with an end."""

    def __init__(self) -> None:
        self._c_works: OrderedDict[str, tuple[bool, float]] = OrderedDict()
        self._tls_broken: OrderedDict[str, float] = OrderedDict()

    def learn_c(self, host: str, works: bool, now: float) -> None:
        self._c_works[host] = (works, now + _C_VERDICT_S)
        self._c_works.move_to_end(host)
        if len(self._c_works) > _MOST_HOSTS:
            self._c_works.popitem(last=False)

    def c_works(self, host: str, now: float) -> bool | None:
        """None: not known (any more), to be learned."""
        known = self._c_works.get(host)
        return known[0] if known is not None and known[1] > now else None

    def learn_tls_broken(self, host: str, now: float) -> None:
        self._tls_broken[host] = now + _TLS_BROKEN_S
        self._tls_broken.move_to_end(host)
        if len(self._tls_broken) > _MOST_HOSTS:
            self._tls_broken.popitem(last=False)

    def is_tls_broken(self, host: str, now: float) -> bool:
        return self._tls_broken.get(host, 0.0) > now
