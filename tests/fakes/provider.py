"""Providers with rules about rate, and a sender with always more to send, on a clock that only they turn."""

from collections import deque

from mta.model.outcome import BounceClass, BounceType, Scope, Verdict
from mta.pacing.action import Action, ActionKind, Aim
from mta.pacing.actions import Actions
from mta.pacing.governor import Why
from mta.pacing.governors import Governors
from mta.pacing.passage import Held
from mta.pacing.settings import PathSettings
from mta.queue.settings import RateLimit

EPOCH = 1.8e9
_LOOK_S = 1.0
SLOWER = Verdict(
    bounce_class=BounceClass.RATE_LIMITED,
    category="rate",
    type=BounceType.SOFT,
    accused="source_ip",
    scope=Scope.CONNECTION,  # as the classifier has it for a 421, whoever is accused
    rule="google:rate",
    actions=("retry", "back_off"),
)
WHY = Why(EPOCH, "421 4.7.28 unusual rate", BounceClass.RATE_LIMITED)


class Window:
    """Takes so many a second, counted over a window, and refuses just what is more."""

    def __init__(self, per_second: float, window_s: float) -> None:
        self.per_second = per_second
        self._most = max(1, int(per_second * window_s + 1e-9))
        self._window_s = window_s
        self._taken: deque[float] = deque()

    def takes(self, now: float) -> bool:
        taken = self._taken
        while taken and taken[0] <= now - self._window_s + 1e-6:
            taken.popleft()
        if len(taken) >= self._most:
            return False
        taken.append(now)
        return True


class Bucket:
    """Takes so many a second and what a bucket of so many seconds holds beyond, and refuses just what is more."""

    def __init__(self, per_second: float, seconds: float) -> None:
        self.per_second = per_second
        self._depth = max(1.0, per_second * seconds)
        self._level = self._depth
        self._at = 0.0

    def takes(self, now: float) -> bool:
        self._level = min(self._depth, self._level + (now - self._at) * self.per_second)
        self._at = now
        if self._level < 1.0:
            return False
        self._level -= 1.0
        return True


class Gmail:
    """As Google publishes of 421-4.7.28: who goes beyond the allowed rate is refused, and goes on being refused until
    he has been silent for ten minutes."""

    silence_s = 600.0

    def __init__(self, meter: Window | Bucket) -> None:
        self._meter = meter
        self._refused_at = float("-inf")

    def takes(self, now: float) -> bool:
        if now >= self._refused_at + self.silence_s and self._meter.takes(now):
            return True
        self._refused_at = now
        return False


class Closed:
    """Takes nothing from one time to another."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end

    def takes(self, now: float) -> bool:
        return not self.start <= now < self.end


class Sender:
    """One source at one provider, over `connections` with one message under way on each. `silence_s` is for how long a
    rule suspends the source at the provider after a refusal; 0.0: there is no such rule."""

    def __init__(
        self,
        provider: Window | Bucket | Gmail | Closed,
        *,
        connections: int,
        latency_s: float,
        limit: float,
        silence_s: float = 0.0,
    ) -> None:
        self._provider = provider
        self._silence_s = silence_s
        self._latency_s = latency_s
        self._connections = connections
        self._look_at = 0.0
        self._now = 0.0
        self._actions = Actions()
        self.governors = Governors(self._actions, lambda: EPOCH + self._now)
        settings = PathSettings(
            connections=connections, connection_rate=RateLimit(1000, 60.0), message_rate=RateLimit(limit, 1.0)
        )
        self.passage = self.governors.passage("a1", "mx.test", "google", settings, self)
        self._open: list[Held] = []
        self._under_way: deque[float] = deque()
        self.taken: list[float] = []
        self.refused: list[float] = []

    def wake(self) -> None:
        """It looks all the time."""

    def run(self, until: float) -> None:
        while self._now < until:
            self._now = now = min(self._look_at, self._under_way[0] if self._under_way else until, until)
            self._look_at = now + _LOOK_S
            while self._under_way and self._under_way[0] <= now:
                self._under_way.popleft()
                self._answered(now)
            if self.passage.blocked_until(now) > now:
                self._close(len(self._open))
                self._look_at = self.passage.blocked_until(now)
                continue
            self._close(self.passage.excess)
            while len(self._open) < self._connections and (held := self.passage.take_connection(now)):
                self._open.append(held)
            while len(self._under_way) < len(self._open):
                if wait_s := self.passage.take_message(now):
                    self._look_at = min(self._look_at, now + wait_s + 1e-6)
                    break
                self._under_way.append(now + self._latency_s)

    def _answered(self, now: float) -> None:
        if self._provider.takes(now):
            self.taken.append(now)
            self.passage.note_accepted(now)
            return
        self.refused.append(now)
        self.passage.note_refused(SLOWER, None, "mx.test", len(self._open), now, WHY)
        if self._silence_s:
            until = EPOCH + now + self._silence_s
            aim = Aim(source="a1", provider="google")
            self._actions.put(
                Action(kind=ActionKind.SUSPEND, aim=aim, since=EPOCH + now, until=until, rule="r")
            )

    def _close(self, count: int) -> None:
        for _ in range(min(count, len(self._open))):
            self._open.pop().release()


def between(times: list[float], start: float, end: float) -> int:
    return sum(start <= at < end for at in times)
