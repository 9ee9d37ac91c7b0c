"""What a node says of itself when it is asked, as it goes over the wire. Pure. Times are seconds since the epoch."""

from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct

from mta.delivery.binding import Binding, Standing
from mta.jetstream.errors import JetStreamError
from mta.model.times import Moment

Said = TypeVar("Said")
_Count = Annotated[int, Meta(ge=0)]
_Rate = Annotated[float, Meta(ge=0.0)]


class NodeView(Struct, frozen=True):
    """`payloads` are in work, `rate` recipients that ended in a second, lately; `limits` are scopes that are slowed."""

    node: str
    version: str
    started: Moment
    payloads: _Count
    rate: _Rate
    limits: _Count = 0


class HandRow(Struct, frozen=True, array_like=True):
    """Recipients in hand of one campaign, going to one provider (empty: not routed yet). `waiting` are not composed
    yet, `ready` are, `later` are about to be stored. `ended` counts those of the last ten seconds or so that need
    nothing more, `rate` is how many do in a second; `oldest` is when the first of those that wait was queued."""

    lane: str
    tenant: str
    campaign: str
    provider: str
    waiting: _Count = 0
    ready: _Count = 0
    on_wire: _Count = 0
    later: _Count = 0
    ended: _Count = 0
    rate: _Rate = 0.0
    oldest: Moment = 0.0


class FreshRow(Struct, frozen=True, array_like=True):
    """Payloads of MTA_PAYLOADS that are in work there."""

    lane: str
    tenant: str
    campaign: str
    payloads: _Count


class PathRow(Struct, frozen=True, array_like=True):
    """One path where something waits, `count` in all, and what binds it."""

    source: str
    site: str
    provider: str
    count: _Count
    connections: _Count
    binding: Binding


class HandView(Struct, frozen=True):
    """`due` are the sequences of the messages of MTA_RETRY in work there. `is_cut`: there was more than this says."""

    node: str
    at: Moment
    rows: tuple[HandRow, ...]
    fresh: tuple[FreshRow, ...]
    due: tuple[_Count, ...]
    paths: tuple[PathRow, ...]
    is_cut: bool = False


def path_row(standing: Standing, binding: Binding) -> PathRow:
    return PathRow(
        standing.source, standing.site, standing.provider, standing.demand, standing.connections, binding
    )


def read(kind: type[Said], body: bytes, node: str) -> Said:
    """JetStreamError for what is no such answer: another version may be running there."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise JetStreamError(f"{node}: its answer cannot be read: {error}") from error
