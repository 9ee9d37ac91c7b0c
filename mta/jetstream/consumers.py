"""Consumers of a stream, made, paused and deleted by the raw API: the client library drops fields it does not
know."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from mta.jetstream.connection import Link
from mta.jetstream.errors import NotFound
from mta.jetstream.layout import NS, Consumer

_PAGE = 100_000
_PATIENCE_S = 10.0
_FORGOTTEN_AFTER_S = 60


class ConsumerState(Struct, frozen=True, gc=False):
    """`pending` wait in the stream, `ack_pending` are in somebody's hands."""

    name: str
    filter_subject: str
    pending: int
    ack_pending: int
    is_paused: bool


class Reader(Struct, frozen=True, gc=False):
    """A consumer; `pending` messages wait for it."""

    name: str
    pending: int


async def create_consumer(link: Link, consumer: Consumer) -> None:
    """Creates or updates; the same again changes nothing."""
    config = consumer.config
    name = f"CONSUMER.CREATE.{consumer.stream}.{consumer.name}"
    if "filter_subject" in config:
        name += f".{config['filter_subject']}"
    await link.api(name, {"stream_name": consumer.stream, "config": config, "action": ""}, timeout_s=10.0)


async def consumer_state(link: Link, stream: str, name: str) -> ConsumerState | None:
    """None if there is none."""
    try:
        return _state(await link.api(f"CONSUMER.INFO.{stream}.{name}"))
    except NotFound:
        return None


async def list_consumers(link: Link, stream: str) -> list[ConsumerState]:
    found: list[ConsumerState] = []
    while True:
        answer = await link.api(f"CONSUMER.LIST.{stream}", {"offset": len(found)})
        page = answer.get("consumers") or []
        found.extend(map(_state, page))
        if not page or len(found) >= answer.get("total", 0):
            return found


async def pause_consumer(link: Link, stream: str, name: str, until: float) -> None:
    """Until a time in seconds since the epoch; one in the past resumes."""
    moment = datetime.fromtimestamp(until, UTC)
    await link.api(f"CONSUMER.PAUSE.{stream}.{name}", {"pause_until": f"{moment:%Y-%m-%dT%H:%M:%S}Z"})


async def delete_consumer(link: Link, stream: str, name: str) -> None:
    """Its being gone already is no error."""
    try:
        await link.api(f"CONSUMER.DELETE.{stream}.{name}")
    except NotFound:
        return


def from_time(at: float) -> dict[str, Any]:
    """Start with what the stream took at `at` (seconds since the epoch) or later."""
    start = datetime.fromtimestamp(max(at, 0.0), UTC)
    return {"deliver_policy": "by_start_time", "opt_start_time": start.isoformat()}


async def create_reader(
    link: Link, stream: str, subjects: Sequence[str], start: dict[str, Any], *, headers_only: bool = False
) -> Reader:
    """For one who reads what a stream holds without anybody noticing: nothing is acknowledged. Forgotten by the server
    when it was idle for a while. NotFound where there is no such stream."""
    name = link.inbox().rpartition(".")[2]
    config: dict[str, Any] = {
        "name": name,
        "ack_policy": "none",
        "mem_storage": True,
        "num_replicas": 1,
        "inactive_threshold": _FORGOTTEN_AFTER_S * NS,
        **start,
    }
    if headers_only:
        config["headers_only"] = True
    request = f"CONSUMER.CREATE.{stream}.{name}"
    if len(subjects) == 1:
        config["filter_subject"] = subjects[0]
        request += f".{subjects[0]}"
    else:
        config["filter_subjects"] = list(subjects)
    query = {"stream_name": stream, "config": config, "action": "create"}
    try:
        info = await link.api(request, query, timeout_s=_PATIENCE_S)
    except NotFound as error:
        raise NotFound(f"there is no stream {stream}") from error
    return Reader(name, int(info.get("num_pending", 0)))


async def held_subjects(link: Link, stream: str, filter_subject: str) -> dict[str, int]:
    """How many messages the stream holds on each subject that matches, those in work included."""
    found: dict[str, int] = {}
    offset = 0
    while True:
        answer = await link.api(
            f"STREAM.INFO.{stream}", {"subjects_filter": filter_subject, "offset": offset}
        )
        page = answer["state"].get("subjects") or {}
        found.update(page)
        offset += _PAGE
        if offset >= answer.get("total", 0):
            return found


def _state(info: dict[str, object]) -> ConsumerState:
    config = info["config"]
    assert isinstance(config, dict)
    return ConsumerState(
        str(info["name"]),
        str(config.get("filter_subject", "")),
        int(str(info.get("num_pending", 0))),
        int(str(info.get("num_ack_pending", 0))),
        bool(info.get("paused", False)),
    )
