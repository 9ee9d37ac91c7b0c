"""Whether an egress path, or one host of it, may be tried now, and with how many connections.

    ready       as configured
    throttled   the peer refused a connection: half as many, one more after each `recover_s` without a refusal
    backed_off  too many failures in a row, or all hosts failed: none until `next_attempt_at`, then one as a
                probe; a failed probe doubles the delay, a connection that opens ends it
    suspended   by the operator, until a time or `resume`; outranks the others, which go on underneath

Exclusive, and a function of what was noted and of `now` (monotonic seconds): nothing happens by itself, so no
timer is needed. What is permitted bounds opening; connections that are open and work are not closed for it.
"""

from collections.abc import Callable
from enum import Enum, StrEnum

from mta.queue.settings import HealthSettings

_CUT_PAUSE_S = 5.0  # connections opened together are refused together: that is one refusal, not one each
_FOREVER = float("inf")
_NEVER = -_FOREVER  # one object: there may be a hundred thousand paths


class PathState(StrEnum):
    READY = "ready"
    THROTTLED = "throttled"
    BACKED_OFF = "backed_off"
    SUSPENDED = "suspended"


class Sign(Enum):
    """What an attempt to open a connection, or an open one, tells about the path."""

    OPENED = "opened"
    """Greeting and EHLO were accepted."""
    FAILED = "failed"
    """Refused, unreachable, timed out or lost before EHLO was accepted."""
    ALL_FAILED = "all_failed"
    """As FAILED, at every host of the site."""
    LIMITED = "limited"
    """The peer has enough of our connections: 421, or the class `connection_limited`."""


class PathHealth:
    """Of one path, or of one host (then with `failures` 1 and any `connections`: usable is what permits
    one)."""

    __slots__ = (
        "_cut_at",
        "_cut_to",
        "_delay_s",
        "_failures",
        "_retry_at",
        "_rng",
        "_settings",
        "_suspended_until",
        "connections",
    )

    def __init__(self, settings: HealthSettings, connections: int, rng: Callable[[], float]) -> None:
        self.connections = connections
        self._settings = settings
        self._rng = rng
        self._failures = 0
        self._delay_s = 0.0
        self._retry_at = 0.0
        self._suspended_until = _NEVER
        self._cut_to = connections
        self._cut_at = _NEVER

    def state(self, now: float) -> PathState:
        if now < self._suspended_until:
            return PathState.SUSPENDED
        if self._delay_s:
            return PathState.BACKED_OFF
        return PathState.READY if self._recovered(now) >= self.connections else PathState.THROTTLED

    def permitted_connections(self, now: float) -> int:
        """How many may be open; while backed off, one from the time of the probe on."""
        if now < self._suspended_until:
            return 0
        if self._delay_s:
            return 1 if now >= self._retry_at else 0
        return self._recovered(now)

    def next_attempt_at(self, now: float) -> float:
        """When a connection may be opened next; `now` if that is not forbidden, infinity if nobody knows."""
        return max(now, self._suspended_until, self._retry_at if self._delay_s else now)

    def note(self, sign: Sign, now: float, open_connections: int = 0) -> PathState:
        """Take in one sign, return the state it leaves. `open_connections` are those open when LIMITED
        came."""
        match sign:
            case Sign.OPENED:
                self._failures = 0
                self._delay_s = 0.0
            case Sign.FAILED:
                self._fail(now, self._settings.failures)
            case Sign.ALL_FAILED:
                self._fail(now, 1)
            case Sign.LIMITED:
                if self._cut(now, open_connections) and not open_connections:
                    self._fail(now, self._settings.failures)
        return self.state(now)

    def suspend(self, until: float = _FOREVER) -> None:
        self._suspended_until = until

    def resume(self) -> None:
        """End a suspension; what failures brought about stays."""
        self._suspended_until = _NEVER

    def _fail(self, now: float, enough: int) -> None:
        self._failures += 1
        if self._failures < enough and not self._delay_s:
            return
        if self._delay_s and now < self._retry_at:
            return  # the rear of the failures that led here; only the probe's counts
        longer = min(max(self._delay_s * 2, self._settings.backoff_s), self._settings.longest_backoff_s)
        self._delay_s = longer
        self._retry_at = now + longer * (1.0 + self._settings.jitter * (2.0 * self._rng() - 1.0))

    def _cut(self, now: float, open_connections: int) -> bool:
        """Halve; False if this refusal belongs to one that was counted already."""
        if now - self._cut_at < _CUT_PAUSE_S:
            return False
        have = self._recovered(now)
        if 0 < open_connections < have:
            have = open_connections
        self._cut_to = max(1, have // 2)
        self._cut_at = now
        return True

    def _recovered(self, now: float) -> int:
        if self._cut_at == _NEVER:
            return self.connections
        return min(self.connections, self._cut_to + int((now - self._cut_at) / self._settings.recover_s))
