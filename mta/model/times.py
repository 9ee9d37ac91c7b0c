"""Wall-clock times: seconds since the epoch as floats, RFC 3339 UTC with microseconds on the wire.

A double holds today's microseconds exactly enough for `parse(render(t)) == t` once `t` was rounded by `micro`.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from msgspec import Meta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Moment = Annotated[float, Meta(ge=0.0, le=253_402_300_799.0)]
"""Of others: what `render` can write, up to the end of the year 9999."""


def from_ns(ns: int) -> float:
    """Seconds, rounded down to the microsecond."""
    return (ns // 1000) / 1e6


def micro(at: float) -> float:
    """`at` rounded to the microsecond: what survives a trip over the wire."""
    return round(at * 1e6) / 1e6


def render(at: float) -> str:
    """`2026-11-22T07:22:45.448483Z`"""
    whole, micros = divmod(round(at * 1e6), 1_000_000)
    moment = _EPOCH + timedelta(seconds=whole)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{micros:06d}Z"


def from_datetime(moment: datetime) -> float:
    """ValueError for a time without a zone: it could mean anything."""
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone, as in 2026-11-23T08:00:00Z")
    delta = moment - _EPOCH
    return (delta.days * 86_400_000_000 + delta.seconds * 1_000_000 + delta.microseconds) / 1e6


def moment(text: str) -> float:
    """Of a time as `render` writes it, or any of RFC 3339; ValueError for anything else."""
    return from_datetime(datetime.fromisoformat(text))
