"""What a node's own experience slows: as it answers it on `mta.control.<node>.limits`, and as `mta queue` shows it.

Unlike an action it lies in no bucket: it is what this node has learned, changes with each answer of the receiver, and
is gone when the node is.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from mta.admin.control import LIMITS, RELEASE
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.service import ask, nodes
from mta.model.times import Moment
from mta.pacing.action import Aim
from mta.pacing.governors import Governors
from mta.pacing.scope import Scope, ScopeKind
from mta.pacing.streams import SlowStream

_ID_BYTES = 10
_Count = Annotated[int, Meta(ge=0)]
_Rate = Annotated[float, Meta(ge=0.0)]


class Slowed(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`since` and `until` are seconds since the epoch; `until` 0.0: it is being tried. Rates are messages a second, 0.0
    where nothing binds them; `of` is what is configured."""

    node: str
    aim: Aim
    state: str
    since: Moment
    until: Moment = 0.0
    connections: _Count = 0
    connections_of: _Count = 0
    rate: _Rate = 0.0
    rate_of: _Rate = 0.0
    reply: str = ""
    bounce_class: str = ""

    @property
    def id(self) -> str:
        """The same as long as the same is slowed on the same node."""
        text = f"{self.node}\0{self.aim}"
        return blake2b(text.encode(), digest_size=_ID_BYTES).hexdigest()


_decoder = msgspec.json.Decoder(list[Slowed])


class Pacing:
    """What a node answers: its governors' rows, and the taking back of one. `on_opened(provider)`: paths there (empty:
    somewhere) may be used before their time."""

    def __init__(self, node: str, governors: Governors, on_opened: Callable[[str], None]) -> None:
        self._node = node
        self._governors = governors
        self._on_opened = on_opened

    def rows(self) -> list[Slowed]:
        now, found = time.monotonic(), []
        for one in self._governors.list(now):
            row = Slowed(
                node=self._node,
                aim=_aim(one.scope),
                state=one.state,
                since=one.since,
                until=one.until or 0.0,
                connections=one.connections,
                connections_of=one.connections_of or 0,
                rate=one.rate or 0.0,
                rate_of=one.rate_of or 0.0,
                reply=one.reply,
                bounce_class=one.bounce_class,
            )
            found.append(row)
        for stream in self._governors.streams.list(now):
            row = Slowed(
                node=self._node,
                aim=_aim_of(stream),
                state="paced",
                since=stream.since,
                rate=stream.rate,
                reply=stream.reply,
                bounce_class=stream.bounce_class,
            )
            found.append(row)
        return found

    def release(self, wanted: str) -> bool:
        """False: there is no such row (any more)."""
        aim = next((row.aim for row in self.rows() if row.id == wanted), None)
        if aim is None:
            return False
        if not aim.is_of_senders:
            is_known = self._governors.release(_scope(aim))
            self._on_opened(aim.provider)
            return is_known
        streams = self._governors.streams
        return streams.release(lambda one: _aim_of(one) == aim, time.monotonic()) > 0


async def slowed(link: Link) -> list[Slowed]:
    """Of all nodes that answer, the longest slowed first."""
    found: list[Slowed] = []
    for answer in await asyncio.gather(*(_rows(link, name) for name in await nodes(link))):
        found += answer
    return sorted(found, key=lambda row: (row.since, row.id))


async def release_slowed(link: Link, row: Slowed) -> bool:
    """False: the node knows nothing of it any more. JetStreamError where it does not answer, or not with that."""
    answer = await ask(link, row.node, RELEASE, row.id.encode())
    try:
        return msgspec.json.decode(answer, type=bool)
    except msgspec.MsgspecError as error:
        raise JetStreamError(
            f"{row.node} gave an answer that cannot be read: is it of another version?"
        ) from error


async def _rows(link: Link, node: str) -> Sequence[Slowed]:
    try:
        return _decoder.decode(await ask(link, node, LIMITS))
    except (JetStreamError, msgspec.MsgspecError):  # it has just stopped, or is of another version
        return ()


def _aim_of(stream: SlowStream) -> Aim:
    return Aim(
        tenant=stream.tenant,
        stream=stream.stream,
        from_domain=stream.from_domain,
        provider=stream.provider,
    )


def _aim(scope: Scope) -> Aim:
    match scope.kind:
        case ScopeKind.SITE:
            return Aim(source=scope.source, site=scope.name)
        case ScopeKind.PROVIDER:
            return Aim(source=scope.source, provider=scope.name)
        case ScopeKind.HOST:
            return Aim(source=scope.source, host=scope.name)
        case ScopeKind.SOURCE:
            return Aim(source=scope.source)


def _scope(aim: Aim) -> Scope:
    if aim.site:
        return Scope(ScopeKind.SITE, aim.source, aim.site)
    if aim.host:
        return Scope(ScopeKind.HOST, aim.source, aim.host)
    if aim.provider:
        return Scope(ScopeKind.PROVIDER, aim.source, aim.provider)
    return Scope(ScopeKind.SOURCE, aim.source)
