"""How fast one scope may go, by what its peer accepts and refuses: additive increase, multiplicative decrease. Pure.

    open      nothing is known against any rate
    silent    a cut has just been made, a rule or the peer asks for silence: nothing goes
    probing   after that, one message at a time on one connection until one is accepted
    seeking   the ceiling is not known: the rate grows until it is met
    holding   the ceiling is known: back to a little below it, a long plateau, then slowly upward

A function of what was noted and of `now` (monotonic seconds), with no timer. The ceiling is the accepted rate of about
the last minute before a refusal. Where that minute was not full, the number accepted from rest is what the peer's own
measure holds: as many again, later, show how long it is.
"""

from enum import StrEnum

from mta.pacing.meter import LONGEST_S, Meter
from mta.pacing.settings import PaceSettings

_FAR_BELOW = 8.0  # a measure shorter than so many seconds is taken for a rate per second
_SHORTEST_S, _SHORTEST_FAR_S = 30.0, 10.0  # of a measurement while seeking
_TELLING = 8  # messages: fewer from rest say nothing about the peer's measure
_SAME = 0.1  # ceilings that differ by less are one
_LEAST_PER_S = 1 / 60
_NEVER = float("-inf")


class PaceState(StrEnum):
    OPEN = "open"
    SILENT = "silent"
    PROBING = "probing"
    SEEKING = "seeking"
    HOLDING = "holding"


class Pace:
    """Of one scope. Rates are messages a second."""

    __slots__ = (
        "_began_at",
        "_ceiling",
        "_connections",
        "_cut_at",
        "_goal",
        "_is_probing",
        "_is_sure",
        "_meter",
        "_plateau_s",
        "_rest",
        "_run",
        "_settings",
        "_silence_s",
        "_start",
        "_was_silent",
        "silent_until",
    )

    def __init__(self, settings: PaceSettings) -> None:
        self._settings = settings
        self.silent_until = _NEVER
        self._cut_at = _NEVER
        self._forget()

    def _forget(self) -> None:
        self._meter: Meter | None = None
        self._began_at = _NEVER
        self._run = 0
        """How many were accepted since then."""
        self._rest = 0
        """How many were accepted before the first refusal."""
        self._start = 0.0
        self._goal = 0.0
        self._ceiling = 0.0
        self._is_sure = False
        self._is_probing = False
        self._was_silent = False
        """The way back led through more than the pause after a cut: to meet the ceiling again would be dear."""
        self._connections = 0
        self._silence_s = self._settings.silence_s
        self._plateau_s = self._settings.plateau_s

    def state(self, now: float) -> PaceState:
        if now < self.silent_until:
            return PaceState.SILENT
        if self._is_probing:
            return PaceState.PROBING
        if self._goal:
            return PaceState.HOLDING
        return PaceState.SEEKING if self._start else PaceState.OPEN

    @property
    def is_open(self) -> bool:
        """No rate and no silence; the number of connections may be cut all the same."""
        return not (self._start or self._goal or self._is_probing)

    @property
    def is_measured(self) -> bool:
        """Something was accepted lately, or there is something to remember."""
        return self._meter is not None

    @property
    def is_clear(self) -> bool:
        return self.is_open and not self._connections

    # -- what is noted ------------------------------------------------------------------------------------------

    def note_accepted(self, now: float) -> bool:
        """True where this changes what is permitted."""
        meter = self._meter
        if meter is None:
            meter = self._meter = Meter()
            self._began_at = now
        if meter.note(now) and self.is_open:
            self._began_at = now
            self._run = 0
        self._run += 1
        if not self._is_probing or now < self.silent_until:
            return False
        self._is_probing = False
        self._silence_s = self._settings.silence_s
        self._began_at = now
        self._run = 1
        meter.clear()
        meter.note(now)
        return True

    def note_refused(self, now: float, top: float) -> bool:
        """The peer said "slower". `top` is the rate permitted without it. True where this changes what is permitted;
        what was under way when it was cut is no news."""
        if now < self.silent_until or now - self._cut_at < self._settings.cut_pause_s:
            return False
        if self._is_probing:
            self.silent_until = now + self._silence_s
            self._silence_s = min(2 * self._silence_s, self._settings.longest_silence_s)
            self._was_silent = True
        else:
            self._estimate(now, top)
            self._was_silent = False
            self.silent_until = now + self._settings.cut_pause_s
            self._is_probing = True
        self._connections = 1
        self._cut_at = now
        return True

    def note_limited(self, now: float, connections: int) -> bool:
        """The peer has enough of our connections, of which so many are open: half as many."""
        if now - self._cut_at < self._settings.cut_pause_s:
            return False
        self._connections = max(1, connections // 2)
        self._cut_at = now
        return True

    def silence(self, until: float, now: float) -> None:
        """Nothing before then, one message first, and one connection more at a time: as fast as a refusal made it, and
        no slower where there was none."""
        self._is_probing = True
        self._connections = 1
        self._was_silent = True
        self._cut_at = now
        self.silent_until = until

    def end_silence(self, now: float) -> None:
        """Somebody says that it is over. Where nothing was learned before, all is as before; else the way back begins
        now."""
        if self._start or self._goal:
            self.silent_until = min(self.silent_until, now)
        else:
            self.release()

    def release(self) -> None:
        """As if nothing had been."""
        self.silent_until = _NEVER
        self._cut_at = _NEVER
        self._forget()

    # -- what is permitted --------------------------------------------------------------------------------------

    def rate(self, now: float) -> float:
        """Infinity: no limit of its own. Not asked for while silent."""
        settings = self._settings
        if self._is_probing:
            return 1.0 / settings.probe_s
        since_s = max(0.0, now - self._began_at)
        if self._goal:
            if since_s < settings.return_s:
                return self._start + (self._goal - self._start) * since_s / settings.return_s
            if self._is_sure or self._was_silent:
                steps = max(0.0, since_s - self._plateau_s) / settings.creep_s
            else:
                steps = (since_s - settings.return_s) / settings.return_s
            return float(self._goal * (1.0 + settings.creep) ** steps)
        return self._sought(since_s) if self._start else float("inf")

    def connections(self, now: float) -> float:
        """Infinity: no limit of its own."""
        if not self._connections:
            return float("inf")
        if self._is_probing:
            return self._connections
        since = max(self._cut_at, self._began_at)
        return self._connections + int(max(0.0, now - since) / self._settings.recover_s)

    def changes_at(self, now: float) -> float:
        """When to ask again; what is permitted changes little before."""
        if now < self.silent_until:
            return self.silent_until
        if self.is_clear:
            return float("inf")
        is_moving = not self._goal or now - self._began_at < self._settings.return_s
        return now + (1.0 if is_moving and not self.is_open else min(5.0, self._settings.recover_s))

    def settle(self, now: float, top: float, connections: float) -> None:
        """Forget what binds less than these limits do anyway."""
        if now < self.silent_until or self._is_probing:
            return
        if self._connections and self.connections(now) >= connections:
            self._connections = 0
        if not self._connections and not self.is_open and self.rate(now) > top:
            self._forget()

    # -- the ceiling --------------------------------------------------------------------------------------------

    def _sought(self, since_s: float) -> float:
        """Fast up to where the peer's measure would be a short one, then slowly."""
        slow_s = self._settings.seek_s
        fast_s = slow_s / 4
        far_s = fast_s * 3 if self._start < self._slow_from else 0.0  # three doublings lead there
        if since_s < far_s:
            return float(self._start * 2 ** (since_s / fast_s))
        return float(min(self._start * 2 ** (far_s / fast_s + (since_s - far_s) / slow_s), 1e9))

    @property
    def _slow_from(self) -> float:
        return self._rest / _FAR_BELOW

    def _estimate(self, now: float, top: float) -> None:
        """Where to come back to, from what was accepted in this run."""
        meter = self._meter
        ran_s = now - self._began_at
        if meter is None or not self._run:
            self._fall(top)
        elif self.is_open and ran_s < LONGEST_S:
            self._rest = self._run
            self._start = max(_LEAST_PER_S, self._run / LONGEST_S)
        elif self._goal and ran_s < LONGEST_S + self._settings.return_s:
            ceiling = max((self._run - self._rest) / max(ran_s, 1.0), self._run / LONGEST_S)
            self._hold(min(max(ceiling, 0.3 * self._goal), self._goal), is_sure=False)
        elif self.is_open or self._goal:
            self._hold(meter.rate(now), is_sure=True)
        elif ran_s < LONGEST_S / 2 and self._run < self._rest / 2:
            self._start /= 2
        elif ran_s < LONGEST_S and _TELLING <= self._run <= self._rest + 1:
            self._hold(self._run / LONGEST_S, is_sure=False)  # the measure is longer than this run
        else:
            shortest_s = _SHORTEST_S if self.rate(now) > self._slow_from else _SHORTEST_FAR_S
            window_s = min(max(shortest_s, meter.lasted_s(now, self._rest)), LONGEST_S)
            self._hold(meter.rate(now, window_s), is_sure=False)
        self._run = 0

    def _hold(self, ceiling: float, *, is_sure: bool) -> None:
        settings = self._settings
        if is_sure and self._is_sure and abs(ceiling / self._ceiling - 1.0) < _SAME:
            self._plateau_s = min(2 * self._plateau_s, settings.longest_plateau_s)
        else:
            self._plateau_s = settings.plateau_s
        self._ceiling = ceiling
        self._is_sure = is_sure
        self._goal = max(_LEAST_PER_S, ceiling * settings.of_ceiling)
        self._start = self._goal / 2

    def _fall(self, top: float) -> None:
        """Nothing was accepted to go by: half of what was permitted."""
        if self._goal:
            self._goal = max(_LEAST_PER_S, self._goal / 2)
            self._start = self._goal / 2
        else:
            self._start = max(_LEAST_PER_S, (self._start or min(top, 1.0)) / 2)
