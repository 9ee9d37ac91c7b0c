"""What one egress path should do now, as values: send, open, close, park, sleep. Pure.

`delivery/pool.py` owns a `PathLoad`, keeps its counts while it acts, and executes what `decide` returns. Which
message goes to which connection is the pool's business; how many, and whether at all, is decided here.
"""

from msgspec import Struct

_MESSAGES_PER_NEW_CONNECTION = 4  # opening one costs 3-5 round trips, so about as much as this many messages
_SHORTEST_SLEEP_S = 0.001


class PathLoad(Struct, gc=False):
    """Counts of one path, kept and not recounted. `waiting` references are not composed, `ready` ones are;
    `room` is what connections would take at once; `busy` connections have something in flight.
    `stalled_since` is when work last began to wait without anything moving (0: nothing waits)."""

    waiting: int = 0
    composing: int = 0
    ready: int = 0
    open: int = 0
    opening: int = 0
    busy: int = 0
    room: int = 0
    stalled_since: float = 0.0

    @property
    def demand(self) -> int:
        return self.waiting + self.composing + self.ready


class PathLimits(Struct, frozen=True, gc=False):
    """What binds the path now: connections permitted by configuration and health, seconds until the message rate
    and the connection rate grant one, when the path may be tried again, and how long work may wait unmoved."""

    connections: int
    message_wait_s: float
    connection_wait_s: float
    blocked_until: float
    hold_s: float


class Send(Struct, frozen=True, gc=False):
    """Hand up to `count` composed messages to connections with room, as the message rate grants them."""

    count: int


class Open(Struct, frozen=True, gc=False):
    count: int


class Park(Struct, frozen=True, gc=False):
    """Store everything that is not on the wire for later, not before `until`."""

    until: float


class Sleep(Struct, frozen=True, gc=False):
    """Decide again after this many seconds, if nothing happens before."""

    seconds: float


Decision = Send | Open | Park | Sleep


def decide(load: PathLoad, limits: PathLimits, now: float) -> list[Decision]:
    """The decisions, in the order to execute them; none: wait for something to happen."""
    if not load.demand:
        return []
    decisions: list[Decision] = []
    wake = limits.hold_s
    if load.ready and load.room:
        if limits.message_wait_s <= 0:
            decisions.append(Send(min(load.ready, load.room)))
        else:
            wake = min(wake, limits.message_wait_s)
    if _must_park(load, limits, now):
        return [*decisions, Park(max(limits.blocked_until, now))]
    wanted = connections_wanted(load, limits.connections)
    if limits.blocked_until > now:  # no connection is permitted until then, so none is wanted either
        wake = min(wake, limits.blocked_until - now)
    elif wanted and limits.connection_wait_s > 0:
        wake = min(wake, limits.connection_wait_s)
    elif wanted:
        decisions.append(Open(wanted))
    if load.stalled_since:
        wake = min(wake, load.stalled_since + limits.hold_s - now)
    decisions.append(Sleep(max(wake, _SHORTEST_SLEEP_S)))
    return decisions


def _must_park(load: PathLoad, limits: PathLimits, now: float) -> bool:
    if load.room:
        return False
    if not load.open and limits.blocked_until - now > limits.hold_s:
        return True
    return bool(load.stalled_since) and now - load.stalled_since >= limits.hold_s


def connections_wanted(load: PathLoad, permitted: int) -> int:
    """How many more. As many as the work is worth, doubling from one: a path is tried before it is stormed."""
    worth = load.busy + -(-load.demand // _MESSAGES_PER_NEW_CONNECTION)
    have = load.open + load.opening
    most = min(permitted, worth) - have
    return max(0, min(most, max(1, load.open) - load.opening))


def compose_wanted(
    load: PathLoad, *, sent_lately: int, window: int, is_blocked: bool, most: int, urgent: int = 0
) -> int:
    """How many references to compose now, so that connections never wait and little is rendered too early. `urgent` are
    those under way that do not count: transactional mail, where it is asked for bulk, whose share is to be ready too.

    `sent_lately` is what the path sent in the last half second, `window` what one connection takes at once. While
    no connection is open only its first window is composed, so that the message is ready when the peer is.
    """
    if is_blocked or not load.waiting:
        return 0
    connections = load.open or 1
    ahead = min(most, 2 * window * connections + sent_lately)
    return max(0, min(load.waiting, ahead - (load.ready + load.composing - urgent)))
