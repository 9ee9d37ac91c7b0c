"""The connections of one egress path, and the work that waits for them.

A `PathPool` keeps the counts that `queue/dispatch.decide` looks at and executes what it returns. All of it runs on
the event loop and nothing awaits between reading and changing a count; only opening a connection is a task. A
reference given to `put` leaves by `on_settled`, exactly once, unless it was withdrawn before.
"""

import asyncio
import time
from typing import Any

from mta.delivery import attempt as attempts
from mta.delivery.around import Around
from mta.delivery.backlog import MOST_READY, Backlog
from mta.delivery.berths import Berths
from mta.delivery.binding import Standing, binding, named, said
from mta.delivery.opening import HostsFull, Opener, TlsTrouble
from mta.delivery.parking import Parking
from mta.delivery.reference import Reference, Settlement
from mta.delivery.slowing import Slowing
from mta.delivery.tls_reports import TlsReports
from mta.model.lane import Lane
from mta.model.message import Envelope
from mta.model.outcome import Deferred, Scope
from mta.model.path import EgressPath, EgressSource, Site
from mta.model.tls import TlsOption
from mta.pacing.passage import Held
from mta.pacing.settings import PathSettings
from mta.queue.dispatch import Open, Park, PathLimits, PathLoad, Send, Sleep, connections_wanted, decide
from mta.queue.health import PathHealth, PathState, Sign
from mta.queue.settings import HealthSettings, HoldSettings
from mta.smtp.connection import Connection
from mta.smtp.fact import (
    Accepted,
    Ended,
    Fact,
    Impossible,
    Learned,
    Lost,
    Refused,
    Transaction,
    Unsent,
    Vacant,
)
from mta.smtp.opening import ConnectFailed, Unserved
from mta.smtp.settings import Pattern

_HEALTH = HealthSettings()
_RESERVED_FROM = 4  # connections, before one of them is kept free for transactional mail
_MOST_UNSENT = 3  # connections that ended before this message's turn, before it counts as an attempt
_OF_CONNECTIONS = (Scope.CONNECTION, Scope.HOST)

Ref = Reference[Any]


class PathPool:
    """See the module."""

    def __init__(
        self,
        path: EgressPath,
        site: Site,
        source: EgressSource,
        settings: PathSettings,
        hold: HoldSettings,
        around: Around,
    ) -> None:
        self.path = path
        self.site = site
        self.source = source
        self.settings = settings
        self._around = around
        self._loop = asyncio.get_running_loop()
        self._passage = around.governors.passage(path.source, path.site, site.provider, settings, self)
        self._load = PathLoad()
        self._backlog = Backlog(
            self._load,
            Parking(hold, self._passage, around.rng),
            settings.window if settings.pattern is Pattern.E else 2,
            around.fair,
        )
        self._connections = Berths()
        self._slowing = Slowing(self._passage, self._connections, site.provider, around.classifier)
        self._health = PathHealth(_HEALTH, settings.connections, around.rng.random)
        self._opener = Opener(site, source, settings, path.security, around)
        self._reports = TlsReports(source, around.on_policy_failed, around.on_tls_session)
        self._failure: ConnectFailed | None = None
        """Of the last try to connect, where what it was made for is still being composed."""
        self._trouble = ""
        self._timer: asyncio.TimerHandle | None = None
        self._turn_is_due = False
        self._is_draining = False

    def follow(self, site: Site) -> None:
        """What DNS says now: hosts and addresses of a site move while its path goes on (C13)."""
        self.site = self._opener.site = site

    # -- what waits ---------------------------------------------------------------------------------------------

    def put(self, ref: Ref) -> None:
        """Take a reference in hand; it is parked at once where the path cannot serve it within `hold`. `turn` is to
        follow, once for all that are put."""
        now = self._loop.time()
        streams = self._around.governors.streams
        if streams and (wait_s := streams.wait(ref.sender, self.site.provider, now)):
            self._settle(ref, self._backlog.parking.parked(ref, now + wait_s, "the pace of its stream"))
        elif not self._backlog.put(ref):
            self._put_off([ref], now)

    def wants(self, lane: Lane) -> int:
        """How many references of a lane it wants composed now."""
        is_blocked = self._is_draining or self._is_blocked
        return self._backlog.wants(lane, is_blocked=is_blocked)

    def take_to_compose(self, most: int, lane: Lane) -> list[Ref]:
        taken = self._backlog.take_to_compose(most, lane)
        self._failure = None if taken else self._failure  # it was none of theirs
        return taken

    def composed(self, ref: Ref, envelope: Envelope | None) -> None:
        """A reference taken by `take_to_compose` comes back: with its message, or settled by somebody else. `turn` is
        to follow."""
        self._backlog.end_composing(ref)
        if envelope is not None and not ref.is_settled:
            ref.envelope = envelope
            if self._failure is not None:
                self._settle(ref, self._not_connected(ref, self._failure))
                return
            self._backlog.put_ready(ref, envelope)

    def sendable(self, lane: Lane, in_hand_s: float) -> int:
        """How many of the references that wait here can be sent within `in_hand_s`."""
        return 0 if self._is_blocked else self._backlog.sendable(lane, in_hand_s)

    @property
    def has_waiting(self) -> bool:
        return self._backlog.has_any

    @property
    def is_unused(self) -> bool:
        """Nothing waits, nothing is open and nothing bad is remembered: the pool may be forgotten."""
        if self._load.demand or self._load.opening or len(self._connections):
            return False
        now = self._loop.time()
        return self._health.next_attempt_at(now) <= now

    def forget(self) -> None:
        """It is unused, and will not be used again."""
        self._passage.close()

    @property
    def _is_blocked(self) -> bool:
        return self._blocked_until(now := self._loop.time()) > now

    def _blocked_until(self, now: float) -> float:
        return max(self._health.next_attempt_at(now), self._passage.blocked_until(now))

    def standing(self) -> Standing:
        """What waits here and what binds it, for who asks."""
        now, load = self._loop.time(), self._load
        self._connections.count_into(load)
        limits, names = named(self._limits(now), self._passage.tightest(now), self.settings, self._trouble)
        is_held = self._passage.blocked_until(now) > now
        state = PathState.SUSPENDED if is_held else self._health.state(now)
        may_send = self._around.may_send() and not self._is_draining
        bound = binding(load, limits, state, names, now, may_send=may_send)
        counts = (load.waiting, load.composing, load.ready, load.open)
        return Standing(self.path.source, self.site.name, self.site.provider, *counts, bound)

    # -- decide, then do ----------------------------------------------------------------------------------------

    def wake(self) -> None:
        """Decide anew, soon: something may be possible now that was not."""
        if not self._turn_is_due:
            self._turn_is_due = True
            self._loop.call_soon(self.turn)

    def turn(self) -> None:
        """Decide and do."""
        self._turn_is_due = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        now = self._loop.time()
        has_work, idle_s = bool(self._load.demand), self.settings.idle_timeout_s
        sleep_s = self._connections.thin_out(self._passage, now, idle_s, has_work=has_work)
        if self._is_draining or not has_work or not self._around.may_send():
            self._passage.leave()
            self._backlog.rest()
        else:
            self._put_off(self._backlog.take_excess(), now)
            self._connections.count_into(self._load)
            for decision in decide(self._load, self._limits(now), now):
                match decision:
                    case Send(count=count):
                        self._connections.hand_out(count, self._send_one)
                    case Open(count=count):
                        self._open(count)
                    case Park(until=until):
                        if self._park(until, now):
                            self.wake()  # for the lane that may wait longer
                    case Sleep(seconds=seconds):
                        sleep_s = min(sleep_s, seconds)
        if self.wants(Lane.BULK) or self.wants(Lane.TRANSACTIONAL):
            self._around.on_hungry(self)
        if sleep_s < float("inf"):
            self._timer = self._loop.call_later(sleep_s, self.wake)

    def resume(self) -> None:
        """Nothing could be sent for a while, which was not the path's fault."""
        self._load.stalled_since = self._loop.time()
        self._backlog.parking.forget_served()
        for connection in self._connections:
            connection.resume()
        self.wake()

    def _limits(self, now: float) -> PathLimits:
        """Asks only for what it could use, as who asks in vain stands in line."""
        load, passage = self._load, self._passage
        connections = self._health.permitted_connections(now)
        message_wait_s = connection_wait_s = 0.0
        if load.ready and load.room:
            message_wait_s = passage.message_wait(now)
        else:
            passage.leave_messages()
        if connections_wanted(load, connections):
            connection_wait_s = passage.connection_wait(now)
        return PathLimits(
            connections=connections,
            message_wait_s=message_wait_s,
            connection_wait_s=connection_wait_s,
            blocked_until=self._blocked_until(now),
            hold_s=self._backlog.parking.hold_s(self._backlog.most_impatient_lane),
        )

    def _send_one(self, connection: Connection) -> bool:
        now = self._loop.time()
        if not self._load.ready or not self._around.may_send():
            return False
        if self._is_reserved(connection, now) or self._passage.take_message(now) > 0:
            return False
        ref = self._backlog.next_ready()
        if ref is None or ref.envelope is None:
            return False
        self._connections.note_busy(connection)
        self._backlog.note_sent(now)
        self._reports.note_session(connection, self.site, ref)
        requiretls = self.path.security.option is TlsOption.REQUIRETLS
        connection.submit(Transaction(ref.envelope, ref, ref.permit, requiretls))
        return True

    def _is_reserved(self, connection: Connection, now: float) -> bool:
        """While transactional mail takes this path, bulk leaves the last idle connection to it: else each such
        message would wait for a whole bulk message in front of it."""
        is_last = self._connections.is_last_idle(connection, _RESERVED_FROM)
        return is_last and self._backlog.expects_transactional(now)

    # -- connections --------------------------------------------------------------------------------------------

    def _open(self, count: int) -> None:
        now = self._loop.time()
        for _ in range(count):
            held = self._passage.take_connection(now)
            if held is None:
                self.wake()  # to sleep for as long as it says
                return
            self._load.opening += 1
            self._failure = None
            self._around.spawn(self._open_one(held), f"connect {self.path.source} {self.site.name}")

    async def _open_one(self, held: Held) -> None:
        started = self._loop.time()
        troubles: list[TlsTrouble] = []
        connection: Connection | None = None
        try:
            connection = await self._opener.open(
                self._on_fact,
                self._on_closed,
                troubles.append,
                lambda host: self._passage.take_host(held, host.name, self._loop.time()),
                lambda host, failure: self._slowing.not_opened(host, failure, self._loop.time()),
            )
        except HostsFull as full:
            self._passage.wait_for_host(full.host.name)
            self.wake()
            return
        except ConnectFailed as failure:
            self._open_failed(failure, troubles)
            return
        finally:
            self._load.opening -= 1
            if connection is None:
                held.release()
            self._connections.note_change()
        self._connections.note_opened(connection, held)
        self._reports.note_troubles(troubles, self._backlog.stock.at_hand())
        now = self._loop.time()
        self._backlog.parking.opening_took_s = now - started
        self._health.note(Sign.OPENED, now)
        self._load.stalled_since = now
        if connection.is_usable:
            self._connections.note_idle(connection, now)
        if self._is_draining:
            connection.quit()
        self._refill(connection)
        self.wake()

    def _open_failed(self, failure: ConnectFailed, troubles: list[TlsTrouble]) -> None:
        """No host took a connection. While others are open that is only a limit; with none it is an attempt for
        what was about to be sent, and the path backs off; where no host will serve it ever, for all that waits."""
        now, self._trouble = self._loop.time(), str(failure)
        at_hand = self._backlog.stock.at_hand()
        head: list[Ref] = []
        self._connections.count_into(self._load)
        if self._load.open:
            self._health.note(Sign.LIMITED, now, self._load.open)
        else:
            self._health.note(Sign.ALL_FAILED, now)
            is_for_all = isinstance(failure, Unserved)
            head = self._backlog.take_head(is_all=is_for_all)
            if self._load.composing and (is_for_all or not head):
                self._failure = failure
            for ref in head:
                self._settle(ref, self._not_connected(ref, failure))
        self._reports.note_troubles(troubles, [*at_hand, *head])
        self.wake()

    def _not_connected(self, ref: Ref, failure: ConnectFailed) -> Settlement:
        return attempts.not_connected(self._tried(ref), failure, self.site.provider, self._around.classifier)

    def _on_fact(self, connection: Connection, fact: Fact) -> None:
        if type(fact) is Accepted:
            ref = attempts.of(fact)
            now = self._loop.time()
            self._load.stalled_since = now
            self._passage.note_accepted(now)
            self._settle(ref, attempts.delivered(self._tried(ref), connection, fact, now))
        elif type(fact) is not Vacant:
            self._on_rare_fact(connection, fact)
        self._refill(connection)

    def _on_rare_fact(self, connection: Connection, fact: Fact) -> None:
        now = self._loop.time()
        match fact:
            case Refused() | Lost() | Impossible():
                ref = attempts.of(fact)
                self._load.stalled_since = now
                settlement = attempts.not_delivered(
                    self._tried(ref), connection, fact, now, self.site.provider, self._around.classifier
                )
                self._slowing.refused(
                    settlement.verdict, ref.sender, connection.host, settlement.attempt.reply, now
                )
                if isinstance(settlement, Deferred) and settlement.verdict.scope in _OF_CONNECTIONS:
                    self._health.note(Sign.LIMITED, now, self._load.open)
                    self._trouble = said(settlement.attempt)
                self._settle(ref, settlement)
            case Unsent():
                self._send_again(attempts.of(fact), connection)
            case Learned(c_works=works):
                self._around.hosts.learn_c(f"{connection.host}:{connection.port}", works, time.time())
            case Ended(is_error=is_error) if is_error and not connection.served:
                self._health.note(Sign.LIMITED, now, self._load.open)
            case _:
                pass
        self.wake()

    def _send_again(self, ref: Ref, connection: Connection) -> None:
        """S-19, B25: the connection ended before it said anything about this message. That is no attempt, unless
        it goes on like this."""
        ref.is_on_wire = False
        if ref.is_settled:
            return
        ref.unsent += 1
        if ref.unsent >= _MOST_UNSENT and not connection.served:
            self._settle(ref, attempts.never_sent(self._tried(ref), connection, self._loop.time()))
            return
        self._backlog.put_back(ref)

    def _refill(self, connection: Connection) -> None:
        """The next message at once, in the same write as what the session has to say anyway."""
        if not self._is_draining and connection.is_usable:
            if self._passage.excess:
                if connection.is_idle:
                    connection.quit()
                return
            while connection.room and self._send_one(connection):
                pass
            if connection.is_idle:
                self._connections.note_idle(connection, self._loop.time())
                self._backlog.note_idle()
        if self._load.ready < MOST_READY // 2:
            self.wake()

    def _on_closed(self, connection: Connection) -> None:
        self._connections.remove(connection)
        self._reports.forget(connection)
        self.wake()

    # -- settling -----------------------------------------------------------------------------------------------

    def _tried(self, ref: Ref) -> attempts.Tried:
        return attempts.Tried(ref.attempt + 1, time.time(), self.source, self.site.name)

    def _settle(self, ref: Ref, settlement: Settlement) -> None:
        ref.is_on_wire = False
        if not ref.is_settled:
            ref.is_settled = True
            self._around.on_settled(ref, settlement)

    def _park(self, until: float, now: float) -> int:
        """Park the lanes whose hold is over, or let them leave from another source; the number of references."""
        stalled = self._backlog.take_stalled(until, now)
        if not self._around.is_moved(self.path, self.site.provider, stalled):
            for ref in stalled:
                self._settle(ref, self._backlog.parking.parked(ref, until, self._health.state(now)))
        return len(stalled)

    def _put_off(self, references: list[Ref], now: float) -> None:
        """Those for whom there is no room."""
        for ref in references:
            self._settle(ref, self._backlog.parking.put_off(ref, self._health.state(now)))

    # -- the end ------------------------------------------------------------------------------------------------

    def drain(self) -> list[Ref]:
        """Send nothing new and quit when the last reply has come; what was not on the wire is given back."""
        self._is_draining = True
        back = self._backlog.drain()
        self._passage.leave()
        for connection in self._connections:
            connection.quit()
        return [ref for ref in back if not ref.is_settled]

    async def closed(self) -> None:
        """Returns when the last connection is gone."""
        while len(self._connections) or self._load.opening:
            await self._connections.change()

    def abort(self) -> None:
        for connection in self._connections:
            connection.abort("stopped by the operator")
