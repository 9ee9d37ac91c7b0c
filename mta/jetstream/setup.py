"""Creates or updates streams, buckets and fixed consumers, and tells what is missing. Safe to run at any
time, by any number of processes: what is as wanted is left alone, and settings of the operator that we do not
name are kept."""

from typing import Any

from msgspec import Struct

from mta.jetstream.connection import Link
from mta.jetstream.consumers import create_consumer, list_consumers
from mta.jetstream.errors import NotFound, ServerTooOld, StreamFull
from mta.jetstream.layout import EVENTS, Capacity, Config, fixed_consumers, streams

OLDEST_SERVER = (2, 12)
"""The first with message schedules (ADR-51)."""
SMALLEST_EVENTS = 64 << 20
WANTED_PAYLOAD = 8 << 20
"""The server's max_payload: what a daemon stores for a retry is larger than the 1 MB that a payload may have."""


class SetupReport(Struct, frozen=True):
    """What was done, by name. `lowered` has the bytes a stream was given where the server had no room for
    all."""

    created: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    lowered: dict[str, int] = {}


def check_version(version: str) -> None:
    """ServerTooOld with a line that says what to do."""
    parts = version.split(".")
    known = tuple(int(p) for p in parts[:2] if p.isdecimal())
    if len(known) < 2 or known < OLDEST_SERVER:
        raise ServerTooOld(f"nats-server {version} has no message schedules: 2.12 or newer is required")


def too_small(max_payload: int) -> str:
    """A warning where the server might not take all that we publish; empty if it will."""
    if max_payload >= WANTED_PAYLOAD:
        return ""
    return (
        f"the server takes messages of at most {max_payload} bytes: set max_payload: 8MB in its configuration, or "
        "large payloads cannot be stored for their retries"
    )


def _matches(have: Config, want: Config) -> bool:
    """A default that we name and the server leaves out counts as the same."""
    return all(have.get(key, _DEFAULTS.get(key)) == value for key, value in want.items())


_DEFAULTS: Config = {
    "max_age": 0,
    "max_bytes": -1,
    "allow_msg_schedules": False,
    "allow_msg_ttl": False,
    "allow_rollup_hdrs": False,
    "allow_atomic": False,
    "deny_delete": False,
    "allow_direct": False,
}


async def _existing(link: Link, name: str) -> Config | None:
    try:
        config: Config = (await link.api(f"STREAM.INFO.{name}"))["config"]
    except NotFound:
        return None
    return config


async def _set(link: Link, verb: str, config: Config) -> None:
    await link.api(f"STREAM.{verb}.{config['name']}", config, timeout_s=10.0)


async def _create_events(link: Link, config: Config) -> int:
    """Creates the one stream that reserves much, and returns its max_bytes: as wanted, or less where the
    server would not have as much again left for mail. What is reserved here no other stream can use."""
    asked = int(config["max_bytes"]) * 2
    while True:
        try:
            await _set(link, "CREATE", config | {"max_bytes": asked})
            break
        except StreamFull:
            if asked // 4 < SMALLEST_EVENTS:
                raise
            asked //= 2
    await _set(link, "UPDATE", config | {"max_bytes": asked // 2})
    return asked // 2


async def _update_events(link: Link, have: Config, merged: Config) -> int:
    """As `_create_events`, but where there is no room for more the size stays as it is."""
    if merged["max_bytes"] > have.get("max_bytes", -1) >= 0:
        try:
            await _set(link, "UPDATE", merged | {"max_bytes": merged["max_bytes"] * 2})
        except StreamFull:
            merged = merged | {"max_bytes": have["max_bytes"]}
    await _set(link, "UPDATE", merged)
    return int(merged["max_bytes"])


async def setup(link: Link, capacity: Capacity, *, ack_wait_s: float) -> SetupReport:
    """Everything of the layout, idempotently."""
    check_version(link.server_version)
    created: list[str] = []
    updated: list[str] = []
    lowered: dict[str, int] = {}
    for want in streams(capacity):
        name = want["name"]
        have = await _existing(link, name)
        max_bytes = want.get("max_bytes", -1)
        if have is None:
            if name == EVENTS and max_bytes > 0:
                max_bytes = await _create_events(link, want)
            else:
                await _set(link, "CREATE", want)
            created.append(name)
        elif not _matches(have, want):
            merged = {**have, **want}
            if name == EVENTS and max_bytes > 0:
                max_bytes = await _update_events(link, have, merged)
            else:
                await _set(link, "UPDATE", merged)
            if not _matches(have, merged | {"max_bytes": max_bytes}):
                updated.append(name)
        if max_bytes < want.get("max_bytes", -1):
            lowered[name] = max_bytes
    for consumer in fixed_consumers(ack_wait_s):
        if consumer.name not in {found.name for found in await list_consumers(link, consumer.stream)}:
            created.append(f"{consumer.stream}/{consumer.name}")
        await create_consumer(link, consumer)
    return SetupReport(tuple(created), tuple(updated), lowered)


async def verify(link: Link, *, ack_wait_s: float) -> list[str]:
    """One line for each thing that is missing or would not work; none if all is well."""
    missing: list[str] = []
    try:
        check_version(link.server_version)
    except ServerTooOld as error:
        missing.append(str(error))
    found: set[str] = set()
    for want in streams(Capacity()):
        have = await _existing(link, want["name"])
        if have is None:
            missing.append(f"stream {want['name']} is missing")
            continue
        found.add(want["name"])
        missing.extend(_faults(have, want))
    for consumer in fixed_consumers(ack_wait_s):
        if consumer.stream not in found:
            continue
        try:
            there = (await link.api(f"CONSUMER.INFO.{consumer.stream}.{consumer.name}"))["config"]
        except NotFound:
            missing.append(f"consumer {consumer.name} of stream {consumer.stream} is missing")
        else:
            missing += [
                f"consumer {consumer.name} of stream {consumer.stream}: {key} is {there.get(key)}, not {due}"
                for key in ("filter_subject", "filter_subjects", "ack_policy", "max_deliver")
                if there.get(key) != (due := consumer.config.get(key))
            ]
    return missing


def _faults(have: dict[str, Any], want: Config) -> list[str]:
    """Only what breaks us: sizes, ages and replicas are the operator's."""
    vital = (
        "subjects",
        "retention",
        "allow_msg_schedules",
        "max_msgs_per_subject",
        "allow_direct",
        "allow_rollup_hdrs",
        "allow_atomic",
    )
    return [
        f"stream {want['name']}: {key} is {have.get(key, _DEFAULTS.get(key))}, not {want[key]}"
        for key in vital
        if key in want and have.get(key, _DEFAULTS.get(key)) != want[key]
    ]
