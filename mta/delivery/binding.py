"""What keeps the mail of a path from going faster: one answer out of its counts and limits at one moment. Pure.

`PathPool.standing` gives the numbers; whoever explains puts names to them. Nothing here decides anything.
"""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from mta.model.outcome import Attempt
from mta.model.times import Moment
from mta.pacing.governor import Governor
from mta.pacing.scope import ScopeKind
from mta.pacing.settings import PathSettings
from mta.queue.dispatch import PathLimits, PathLoad
from mta.queue.health import PathState
from mta.queue.settings import RateLimit


class Bind(StrEnum):
    """Where several hold at once, the first of them is named."""

    NOTHING = "nothing"
    """Nothing waits."""
    NATS = "nats"
    """What was sent is not confirmed in the stream, or this node stops."""
    SUSPENDED = "suspended"
    BACKED_OFF = "backed_off"
    """After failures; until a time."""
    MESSAGE_RATE = "message_rate"
    COMPOSING = "composing"
    """Connections wait for messages to be rendered and signed."""
    CONNECTION_RATE = "connection_rate"
    CONNECTING = "connecting"
    THROTTLED = "throttled"
    """The peer refused connections: fewer are permitted than configured."""
    CONNECTIONS = "connections"
    PEER = "peer"
    """Its answers are waited for; more connections are being opened as the work is worth them."""


class Binding(Struct, frozen=True, omit_defaults=True, gc=False):
    """`scope` is whose limit binds: as in shaping.toml `provider`, `host` or `source`, empty the path's own; `rate` or
    `connections` is what it comes to. `until` is on the clock of who was asked, 0.0: no time is known. `reply` is what
    brought it about."""

    kind: Bind
    scope: str = ""
    rate: RateLimit | None = None
    connections: Annotated[int, Meta(ge=0)] = 0
    until: Moment = 0.0
    reply: str = ""


class Names(Struct, frozen=True, gc=False):
    """Of what would bind a path: the scope and the limit that grants its next message, its next connection and one more
    connection at once, and its last failure."""

    message_rate: RateLimit
    connection_rate: RateLimit
    message_scope: str = ""
    connection_scope: str = ""
    connections_scope: str = ""
    reply: str = ""


class Standing(Struct, frozen=True, gc=False):
    """One path at one moment. `waiting` are not composed, `ready` are; `connections` are open."""

    source: str
    site: str
    provider: str
    waiting: int
    composing: int
    ready: int
    connections: int
    binding: Binding

    @property
    def demand(self) -> int:
        return self.waiting + self.composing + self.ready


def named(
    limits: PathLimits, tightest: tuple[Governor, Governor, Governor], settings: PathSettings, trouble: str
) -> tuple[PathLimits, Names]:
    """With the limits of all scopes the path lies in; `tightest` is from `Passage.tightest`, `trouble` its last
    failure."""
    of_message, of_connection, of_count = tightest
    message_rate = of_message.rate
    names = Names(
        settings.message_rate if message_rate is None else message_rate.limit,
        of_connection.connection_limit or settings.connection_rate,
        _scope(of_message),
        _scope(of_connection),
        _scope(of_count),
        reply=next((one.reply for one in tightest if one.reply), trouble),
    )
    return replace(limits, connections=int(min(limits.connections, of_count.most))), names


def _scope(governor: Governor) -> str:
    """Of a site is the path's own."""
    kind = governor.scope.kind
    return "" if kind is ScopeKind.SITE else str(kind)


def said(attempt: Attempt) -> str:
    """What the peer answered to it, or what happened."""
    reply = attempt.reply
    return f"{attempt.stage}: {attempt.detail if reply is None else f'{reply.code} {reply.text}'}"


def binding(
    load: PathLoad, limits: PathLimits, state: PathState, names: Names, now: float, *, may_send: bool
) -> Binding:
    """`load` as just counted. A rate that is reached is what binds even while all connections are busy: where they were
    too few, it would not be reached."""
    if not load.demand:
        return Binding(Bind.NOTHING)
    if not may_send:
        return Binding(Bind.NATS)
    if limits.blocked_until > now and (state is PathState.SUSPENDED or not load.open):
        kind = Bind.SUSPENDED if state is PathState.SUSPENDED else Bind.BACKED_OFF
        until = limits.blocked_until if limits.blocked_until < float("inf") else 0.0
        return Binding(kind, until=until, reply=names.reply)
    if limits.message_wait_s > 0:
        return Binding(Bind.MESSAGE_RATE, names.message_scope, names.message_rate)
    if load.room and not load.ready:
        return Binding(Bind.COMPOSING)
    if load.open + load.opening >= limits.connections:
        if state is PathState.THROTTLED:
            return Binding(Bind.THROTTLED, connections=limits.connections, reply=names.reply)
        if load.open:
            return Binding(Bind.CONNECTIONS, names.connections_scope, connections=limits.connections)
    elif limits.connection_wait_s > 0:
        return Binding(Bind.CONNECTION_RATE, names.connection_scope, names.connection_rate)
    return Binding(Bind.PEER) if load.open else Binding(Bind.CONNECTING, reply=names.reply)
