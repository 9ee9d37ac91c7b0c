"""The pace of senders whom a provider accuses by name: their mail goes slower there, all other as before. Pure.

A rate for each (tenant, stream, domain, provider) that was accused. Mail is asked about when it comes to its path: what
may not go now is to be parked, spread over the time that it needs, so that nobody else waits behind it.
"""

from collections import OrderedDict
from collections.abc import Callable

from msgspec import Struct

from mta.model.sender import Sender
from mta.pacing.governor import Why

_MOST = 5_000
_LEAST_PER_S = 1 / 60
_PAUSE_S = 60.0  # refusals of the same minute are one
_DOUBLES_S = 1800.0
_SOON_S = 1.0
_LONGEST_S = 3600.0

Key = tuple[str, str, str, str]


class SlowStream(Struct, frozen=True, kw_only=True):
    """As it is told: `rate` is messages a second."""

    tenant: str
    stream: str
    from_domain: str
    provider: str
    rate: float
    reply: str
    bounce_class: str
    since: float


class _Slow(Struct):
    start: float
    top: float
    cut_at: float
    due: float
    parked_until: float
    why: Why

    def rate(self, now: float) -> float:
        """It doubles each half hour without an accusation."""
        return float(self.start * 2 ** min(64.0, (now - self.cut_at) / _DOUBLES_S))


class Streams:
    """Bounded: the one accused longest ago is forgotten first. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._slow: OrderedDict[Key, _Slow] = OrderedDict()

    def __len__(self) -> int:
        return len(self._slow)

    def accuse(self, sender: Sender, provider: str, now: float, top: float, why: Why) -> None:
        """Half as fast as before, which was `top` messages a second at the most."""
        key = _key(sender, provider)
        slow = self._slow.pop(key, None)
        if slow is None:
            slow = _Slow(max(_LEAST_PER_S, top / 2), top, now, now, now, why)
        elif now - slow.cut_at >= _PAUSE_S:
            rate = max(_LEAST_PER_S, min(slow.rate(now), slow.top) / 2)
            slow.start, slow.cut_at, slow.why = rate, now, why
        self._slow[key] = slow
        if len(self._slow) > _MOST:
            self._slow.popitem(last=False)

    def wait(self, sender: Sender, provider: str, now: float) -> float:
        """0.0: one may go now, and is taken for sent. Else the seconds until it should come again."""
        key = _key(sender, provider)
        slow = self._slow.get(key)
        if slow is None:
            return 0.0
        rate = slow.rate(now)
        if rate >= slow.top:
            del self._slow[key]
            return 0.0
        if slow.due <= now + _SOON_S:
            slow.due = max(slow.due, now) + 1.0 / rate
            return 0.0
        slow.parked_until = min(max(slow.parked_until, slow.due) + 1.0 / rate, now + _LONGEST_S)
        return slow.parked_until - now

    def release(self, matches: Callable[[SlowStream], bool], now: float) -> int:
        """Forget those; how many."""
        keys = [key for key, slow in self._slow.items() if matches(_told(key, slow, now))]
        for key in keys:
            del self._slow[key]
        return len(keys)

    def list(self, now: float) -> list[SlowStream]:
        return [_told(key, slow, now) for key, slow in self._slow.items()]


def _told(key: Key, slow: _Slow, now: float) -> SlowStream:
    tenant, stream, from_domain, provider = key
    return SlowStream(
        tenant=tenant,
        stream=stream,
        from_domain=from_domain,
        provider=provider,
        rate=min(slow.rate(now), slow.top),
        reply=slow.why.reply,
        bounce_class=slow.why.bounce_class,
        since=slow.why.at,
    )


def _key(sender: Sender, provider: str) -> Key:
    return sender.tenant, sender.stream, sender.from_domain, provider
