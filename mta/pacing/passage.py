"""What one path takes from all the scopes it lies in: everything it needs at once, or nothing. Pure.

A path waits in the line of the scope that keeps it longest, with one number for all lines. Who was sent from line to
line a few times stands in all that refuse it: then nobody passes him anywhere, and what he needs comes together.
"""

from collections.abc import Iterable
from typing import Protocol

from mta.classify.rules import ACCUSED
from mta.model.outcome import BounceClass, Scope, Verdict
from mta.model.sender import Sender
from mta.pacing.actions import Actions
from mta.pacing.governor import Governor, Why
from mta.queue.turnstile import Waiter

_SENT_ON = 3
_NO_NUMBERS = (0, 0)
_NEVER = float("-inf")


class Keeper(Protocol):
    """Whoever keeps the governors of all."""

    actions: Actions

    def draw(self) -> int:
        """A number in line, greater than all before."""
        ...

    def host(self, source: str, host: str, connections: int | None, *, is_refusing: bool) -> Governor | None:
        """Of an MX host. None: nothing limits it, and it `is_refusing` nobody."""
        ...

    def accuse(self, sender: Sender, provider: str, now: float, top: float, why: Why) -> None:
        """A sender is to go slower at a provider, from at most `top` messages a second."""
        ...


class Held:
    """One connection's units of several scopes, given back once."""

    __slots__ = ("_governors", "_host", "_who")

    def __init__(self, governors: Iterable[Governor], who: "Passage") -> None:
        self._governors: tuple[Governor, ...] | None = tuple(governors)
        self._host: Governor | None = None
        self._who = who
        for governor in self._governors or ():
            _note_holder(governor, who, 1)

    def take_host(self, governor: Governor, now: float) -> bool:
        """A unit of a host as well; False: it has none free now."""
        self.give_back_host()
        if governor.connection_wait(now, self._who) > 0:
            return False
        governor.take_connection(now, self._who)
        _note_holder(governor, self._who, 1)
        self._host = governor
        return True

    def give_back_host(self) -> None:
        if self._host is not None:
            host, self._host = self._host, None
            _note_holder(host, self._who, -1)
            host.give_back()

    def release(self) -> None:
        """RuntimeError at the second time: the units may be somebody else's by then."""
        if self._governors is None:
            raise RuntimeError("a connection's units were given back twice")
        governors, self._governors = self._governors, None
        self.give_back_host()
        for governor in governors:
            _note_holder(governor, self._who, -1)
            governor.give_back()


class Passage:
    """Of one path. `owner` is woken to look again what it may do. `governors` are those of its site, of its provider if
    it has one, and of its source; `trouble` is the one that slows down when the peer accuses the source."""

    __slots__ = (
        "_actions",
        "_full_host",
        "_governors",
        "_host_connections",
        "_keeper",
        "_numbers",
        "_owner",
        "_provider",
        "_sent_on",
        "_trouble",
        "_version",
    )

    def __init__(
        self,
        governors: tuple[Governor, ...],
        provider: str,
        host_connections: int | None,
        keeper: Keeper,
        owner: Waiter,
    ) -> None:
        self._governors = governors
        self._trouble = governors[1] if len(governors) > 2 else governors[0]
        self._provider = provider
        self._host_connections = host_connections
        self._keeper = keeper
        self._actions = keeper.actions
        self._version = -1
        self._owner = owner
        self._numbers = _NO_NUMBERS
        """In the lines for a message and for a connection; 0: in none."""
        self._sent_on = 0
        self._full_host: Governor | None = None
        for governor in governors:
            governor.users += 1

    def wake(self) -> None:
        self._full_host = None
        self._owner.wake()

    def close(self) -> None:
        """The path is forgotten."""
        self.leave()
        for governor in self._governors:
            governor.users -= 1

    def per_second(self, now: float) -> float:
        """The least message rate that is to be reckoned with; infinity: there is none."""
        return min(governor.expected_per_second(now) for governor in self._governors)

    def leave(self) -> None:
        """It wants nothing now."""
        self.leave_messages()
        if self._numbers[1]:
            self._numbers = (self._numbers[0], 0)
            for governor in self._governors:
                governor.leave(self, is_connection=True)
        if self._full_host is not None:
            self._full_host.leave(self, is_connection=True)
            self._full_host = None

    def leave_messages(self) -> None:
        """It has no message to send, or no connection for one."""
        if self._numbers[0]:
            self._numbers = (0, self._numbers[1])
            for governor in self._governors:
                governor.leave(self, is_connection=False)

    # -- messages -----------------------------------------------------------------------------------------------

    def message_wait(self, now: float) -> float:
        """Seconds until a message may go; whoever has to wait stands in line for it."""
        if self._version != self._actions.version:
            self._see_actions()
        most = 0.0
        for governor in self._governors:
            wait = governor.message_wait(now, self)
            if wait > most:
                most = wait
        if most > 0:
            self._queue_up(now, is_connection=False)
        return most

    def take_message(self, now: float) -> float:
        """Take one of all, and 0.0; or of none, and the seconds to wait in line."""
        if self._version != self._actions.version:
            self._see_actions()
        governors = self._governors
        for governor in governors:
            if now >= governor.look_at:
                governor.look(now)
            rate = governor.rate
            if (
                now < governor.held_until
                or (rate is not None and rate.peek(now) > 0)
                or (governor.line is not None and governor.message_wait(now, self) > 0)
            ):
                return self.message_wait(now)
        for governor in governors:
            governor.granted += 1
            rate = governor.rate
            if rate is not None:
                rate.take(now)
            if governor.line is not None:
                governor.leave(self, is_connection=False)
        if self._numbers[0]:
            self._numbers = (0, self._numbers[1])
            self._sent_on = 0
        return 0.0

    # -- connections --------------------------------------------------------------------------------------------

    def connection_wait(self, now: float) -> float:
        """As `message_wait`, of a connection. Infinity: until woken."""
        if self._version != self._actions.version:
            self._see_actions()
        if self._full_host is not None:
            return max(self._full_host.connection_wait(now, self), 0.001)
        most = max(governor.connection_wait(now, self) for governor in self._governors)
        if most > 0:
            self._queue_up(now, is_connection=True)
        return most

    def take_connection(self, now: float) -> Held | None:
        """The units of a new connection, of all scopes but its host's; None: to be waited for."""
        if self.connection_wait(now) > 0:
            return None
        for governor in self._governors:
            governor.take_connection(now, self)
        self._numbers = (self._numbers[0], 0)
        return Held(self._governors, self)

    def take_host(self, held: Held, host: str, now: float) -> bool:
        governor = self._host(host)
        return governor is None or held.take_host(governor, now)

    def wait_for_host(self, host: str) -> None:
        """All hosts are at our own limits, and this is the first of them."""
        governor = self._host(host)
        if governor is not None:
            self._full_host = governor
            governor.queue_up(self, self._keeper.draw(), is_connection=True)

    def tightest(self, now: float) -> tuple[Governor, Governor, Governor]:
        """Those that bind it most: its next message, its next connection, and how many connections it may have."""
        for governor in self._governors:
            governor.look_if_due(now)
        return (
            max(self._governors, key=lambda one: one.message_wait(now, self)),
            max(self._governors, key=lambda one: one.connection_wait(now, self)),
            min(self._governors, key=lambda one: one.most - one.in_use),
        )

    def blocked_until(self, now: float) -> float:
        """`now`: it is not."""
        if self._version != self._actions.version:
            self._see_actions()
        until = now
        for governor in self._governors:
            if now >= governor.look_at:
                governor.look(now)
            if governor.held_until > until:
                until = governor.held_until
        return until

    @property
    def excess(self) -> int:
        """So many connections more than are permitted."""
        most = 0
        for governor in self._governors:
            if governor.in_use > governor.most:
                most = max(most, int(governor.in_use - governor.most))
        return most

    @property
    def is_waited_for(self) -> bool:
        """Somebody else waits for a connection that this path may have idle."""
        return any(governor.is_waited_for for governor in self._governors)

    # -- what is noted ------------------------------------------------------------------------------------------

    def note_accepted(self, now: float) -> None:
        self._trouble.note_accepted(now)
        site = self._governors[0]
        if site is not self._trouble and site.pace is not None:
            site.note_accepted(now)

    def note_refused(
        self, verdict: Verdict, sender: Sender | None, host: str, open_there: int, now: float, why: Why
    ) -> None:
        """Whom the peer accused slows down, and nobody else."""
        is_slower = "back_off" in verdict.actions
        is_of_connections = verdict.bounce_class is BounceClass.CONNECTION_LIMITED
        scope = verdict.scope
        if is_slower and scope is Scope.CONNECTION and not is_of_connections:
            scope = ACCUSED.get(
                verdict.accused, scope
            )  # a 421 ends the connection, and may say whose rate it is about
        match scope:
            case Scope.SOURCE if is_slower:
                self._trouble.note_refused(now, why)
            case Scope.SITE if is_slower:
                self._governors[0].note_refused(now, why)
            case Scope.STREAM if sender is not None:
                top = self._governors[0].rate
                self._keeper.accuse(
                    sender, self._provider, now, top.per_second if top is not None else 1.0, why
                )
            case Scope.CONNECTION | Scope.HOST if is_of_connections:
                governor = self._host(host, is_refusing=True)
                if governor is not None:
                    governor.note_limited(now, max(open_there, governor.in_use), why)
            case _:
                pass

    def _see_actions(self) -> None:
        self._version = self._actions.version
        for governor in self._governors:
            governor.look_at = _NEVER

    def _host(self, host: str, *, is_refusing: bool = False) -> Governor | None:
        source = self._governors[0].scope.source
        return self._keeper.host(source, host, self._host_connections, is_refusing=is_refusing)

    def _queue_up(self, now: float, *, is_connection: bool) -> None:
        """In the line that takes longest; in the others no more, or else in all."""
        messages, connections = self._numbers
        if is_connection:
            number = connections = connections or self._keeper.draw()
        else:
            number = messages = messages or self._keeper.draw()
        self._numbers = messages, connections
        waits = [
            governor.connection_wait(now, self) if is_connection else governor.message_wait(now, self)
            for governor in self._governors
        ]
        longest = max(waits)
        for governor, wait in zip(self._governors, waits, strict=True):
            line = governor.connection_line if is_connection else governor.line
            is_in = line is not None and self in line
            if wait == longest or (wait > 0 and self._sent_on >= _SENT_ON):
                if not is_in:
                    governor.queue_up(self, number, is_connection=is_connection)
            elif is_in and self._sent_on < _SENT_ON:
                self._sent_on += 1
                governor.leave(self, is_connection=is_connection)


def _note_holder(governor: Governor, who: Passage, change: int) -> None:
    holders = governor.holders if governor.holders is not None else {}
    count = holders.get(who, 0) + change
    if count:
        holders[who] = count
    else:
        holders.pop(who, None)
    governor.holders = holders or None
