"""A key-value bucket: the last value of each key, and word of every change.

By raw subjects (ADR-8), so that `mta` and any other client share a bucket. A deleted key leaves a marker,
which counts as absent here. A key that expires by its own TTL vanishes without a word: watchers keep clocks
for those themselves.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from math import ceil

from msgspec import Struct

from mta.jetstream.connection import Link
from mta.jetstream.consumers import delete_consumer
from mta.jetstream.errors import Conflict, JetStreamError, JetStreamUnavailable
from mta.jetstream.layout import NS
from mta.jetstream.pull import End, Pulled, Puller
from mta.model.times import moment

_OPERATION = "KV-Operation"
_MARKER = "Nats-Marker-Reason"
_EXPECTED = "Nats-Expected-Last-Subject-Sequence"
_TTL = "Nats-TTL"
_BATCH_ID = "Nats-Batch-Id"
_BATCH_SEQUENCE = "Nats-Batch-Sequence"
_BATCH_COMMIT = "Nats-Batch-Commit"
_BATCH_S = 30.0
_BATCH = 2_000
_PULL_S = 5.0
_AGAIN_S = 0.5
_FORGOTTEN_AFTER_S = 60


class Entry(Struct, frozen=True, gc=False):
    key: str
    value: bytes
    sequence: int


class Change(Struct, frozen=True, gc=False):
    """`value` None: the key is gone. `removed_at`, where the last word on a key was asked for, is when somebody took it
    away, by the server's clock; 0.0 of one that has expired."""

    key: str
    value: bytes | None
    sequence: int
    removed_at: float = 0.0


class Place(Struct, frozen=True, gc=False):
    """How far a bucket was read, which is the one that was born (RFC 3339) then. Without a birth: any."""

    sequence: int = 0
    born: str = ""


class Bucket:
    """Constructing asks nothing; the bucket must exist (`mta.jetstream.setup`)."""

    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._stream = f"KV_{name}"
        self._prefix = f"$KV.{name}."

    async def get(self, key: str, *, leader: bool = False) -> Entry | None:
        """From any replica, which may be behind; with `leader` the last word."""
        stored = await self._link.last_message(self._stream, self._prefix + key, leader=leader)
        if stored is None or is_marker(stored.headers):
            return None
        return Entry(key, stored.data, stored.sequence)

    async def put(self, key: str, value: bytes, *, ttl_s: float = 0.0) -> int:
        """The sequence of the new value, which lasts as for `replace`."""
        answer = await self._link.call(self._prefix + key, value, headers=_lasting(ttl_s))
        return int(answer["seq"])

    async def last(self, key: str) -> Change | None:
        """The last word on a key, from the leader, be it that it is gone; None: there never was one."""
        stored = await self._link.last_message(self._stream, self._prefix + key)
        if stored is None:
            return None
        value = None if is_marker(stored.headers) else stored.data
        removed_at = moment(stored.time) if _OPERATION in stored.headers else 0.0
        return Change(key, value, stored.sequence, removed_at)

    async def replace(self, key: str, value: bytes, sequence: int, *, ttl_s: float = 0.0) -> int:
        """As `put`, if the last word on the key is the one of that sequence (0: none); Conflict otherwise. With
        `ttl_s` the value vanishes after so long, without a word; the bucket must allow it."""
        answer = await self._link.call(self._prefix + key, value, headers=replacing(sequence, ttl_s))
        return int(answer["seq"])

    async def create(self, key: str, value: bytes) -> bool:
        """False if the key has a value already; of two who create, one gets True."""
        if await self._put_after(key, value, 0):
            return True
        last = await self._link.last_message(self._stream, self._prefix + key)
        if last is not None and not is_marker(last.headers):
            return False
        return await self._put_after(key, value, last.sequence if last else 0)

    async def _put_after(self, key: str, value: bytes, sequence: int) -> bool:
        try:
            await self._link.call(self._prefix + key, value, headers={_EXPECTED: str(sequence)})
        except Conflict:
            return False
        return True

    async def create_all(self, values: list[tuple[str, bytes, float]], batch: str) -> None:
        """All of these (key, value, seconds to live or 0.0) or, if any of the keys ever had a value, none: Conflict. At
        most 1,000, each key once; `batch` is an id of its own (ADR-50). One fsync of the server for all of them, where
        each by itself would cost one."""
        *others, (key, value, ttl_s) = values
        for number, (other, content, lasts_s) in enumerate(others, 1):
            headers = {_BATCH_ID: batch, _BATCH_SEQUENCE: str(number), **replacing(0, lasts_s)}
            await self._link.publish(self._prefix + other, content, headers=headers)
        last = {_BATCH_ID: batch, _BATCH_SEQUENCE: str(len(values)), _BATCH_COMMIT: "1"}
        await self._link.call(
            self._prefix + key, value, headers={**last, **replacing(0, ttl_s)}, timeout_s=_BATCH_S
        )

    async def delete(self, key: str, sequence: int | None = None, *, ttl_s: float = 0.0) -> None:
        """Leaves a marker, so that watchers learn of it; with `ttl_s` for so long. No error if there was nothing;
        Conflict if `sequence` is given and no longer the last."""
        expected = {} if sequence is None else {_EXPECTED: str(sequence)}
        headers = {_OPERATION: "DEL", **expected, **_lasting(ttl_s)}
        await self._link.call(self._prefix + key, headers=headers)

    async def keys(self, prefix: str = "") -> list[str]:
        """All keys, or those below `prefix` (whole tokens: `acme` finds `acme.x`, not `acmes.x`), sorted."""
        found: set[str] = set()

        def note(change: Change) -> None:
            if change.value is not None:
                found.add(change.key)

        await self._read(note, prefix, headers_only=True)
        return sorted(found)

    async def each(self, on_value: Callable[[Change], None], prefix: str = "") -> None:
        """Hands over every value there is, as `keys` finds them, in the order in which they were put."""

        def note(change: Change) -> None:
            if change.value is not None:
                on_value(change)

        await self._read(note, prefix)

    async def _read(
        self, on_change: Callable[[Change], None], prefix: str, *, headers_only: bool = False
    ) -> None:
        follower = _Follower(self._link, self._stream, self._prefix, on_change, headers_only=headers_only)
        try:
            await follower.open(f"{self._prefix}{prefix}.>" if prefix else f"{self._prefix}>")
            while not follower.is_loaded:
                if not await follower.step(0.0):
                    raise JetStreamUnavailable(f"{self._stream}: the list of keys broke off")
        finally:
            await follower.close()

    async def watch(
        self,
        on_change: Callable[[Change], None],
        *,
        on_loaded: Callable[[], None] | None = None,
        after: Place | None = None,
        on_anew: Callable[[str], None] | None = None,
    ) -> None:
        """Tells every value there is, calls `on_loaded` once, then tells each change as it comes; runs until
        cancelled. After a broken connection it goes on where it was. With `after`, only what came after it is told, if
        this is still that bucket. `on_anew` is called, with the birth of the bucket, before it is told from its
        beginning: what was heard of another one of the name is worth nothing."""
        last = after or Place()
        while True:
            follower = _Follower(
                self._link,
                self._stream,
                self._prefix,
                on_change,
                after=last,
                on_loaded=on_loaded,
                on_anew=on_anew,
            )
            try:
                # Nobody leads the stream, or no connection: the same cure as for a consumer that is gone.
                with suppress(JetStreamUnavailable):
                    await follower.open(f"{self._prefix}>")
                    while await follower.step(_PULL_S):
                        pass
            finally:
                await follower.close()
            last = follower.place
            on_loaded = None if follower.is_loaded else on_loaded
            await asyncio.sleep(_AGAIN_S)
            await self._link.until_connected()


_BEGINNING = Place()


class _Follower:
    """One ephemeral consumer over a bucket, read by pulls: what is not asked for is not sent, however much
    there is."""

    def __init__(
        self,
        link: Link,
        stream: str,
        prefix: str,
        on_change: Callable[[Change], None],
        *,
        after: Place = _BEGINNING,
        headers_only: bool = False,
        on_loaded: Callable[[], None] | None = None,
        on_anew: Callable[[str], None] | None = None,
    ) -> None:
        self._link = link
        self._stream = stream
        self._prefix = prefix
        self._on_change = on_change
        self._on_loaded = on_loaded
        self._headers_only = headers_only
        self._on_anew = on_anew
        self._puller: Puller | None = None
        self._born = after.born
        self.last = after.sequence
        self.is_loaded = False

    @property
    def place(self) -> Place:
        return Place(self.last, self._born)

    async def open(self, filter_subject: str) -> None:
        info = await self._link.api(f"STREAM.INFO.{self._stream}")
        born = str(info.get("created", ""))
        if info["state"].get("last_seq", 0) < self.last or (self._born and born != self._born):
            # Another stream under the old name: what we knew is worth nothing.
            self.last = 0
        self._born = born
        if not self.last and self._on_anew is not None:
            self._on_anew(born)
        config: dict[str, object] = {
            "name": self._link.inbox().rpartition(".")[2],
            "filter_subject": filter_subject,
            "ack_policy": "none",
            "deliver_policy": "by_start_sequence" if self.last else "all",
            "headers_only": self._headers_only,
            "mem_storage": True,
            "num_replicas": 1,
            "inactive_threshold": _FORGOTTEN_AFTER_S * NS,
        }
        if self.last:
            config["opt_start_seq"] = self.last + 1
        name = f"CONSUMER.CREATE.{self._stream}.{config['name']}.{filter_subject}"
        info = await self._link.api(name, {"stream_name": self._stream, "config": config, "action": "create"})
        self._puller = Puller(self._link, self._stream, str(config["name"]), self._message)
        await self._puller.open()
        if not info.get("num_pending", 0):
            self._loaded()

    async def step(self, expires_s: float) -> bool:
        """One pull; False when the consumer is of no more use."""
        assert self._puller is not None
        end = await self._puller.pull(_BATCH, expires_s=expires_s)
        return end.end in (End.FULL, End.EMPTY)

    async def close(self) -> None:
        if self._puller is None:
            return
        await self._puller.close()
        if self._link.is_connected:
            # If this fails the server forgets it by itself after a while.
            with suppress(JetStreamError):
                await delete_consumer(self._link, self._stream, self._puller.consumer)

    def _message(self, pulled: Pulled) -> None:
        self.last = max(self.last, pulled.stream_sequence)
        value = None if is_marker(pulled.headers) else pulled.data
        self._on_change(Change(pulled.subject[len(self._prefix) :], value, pulled.stream_sequence))
        if not pulled.pending:
            self._loaded()

    def _loaded(self) -> None:
        if not self.is_loaded:
            self.is_loaded = True
            if self._on_loaded is not None:
                self._on_loaded()


def replacing(sequence: int, ttl_s: float = 0.0) -> dict[str, str]:
    """The headers of `Bucket.replace`."""
    return {_EXPECTED: str(sequence), **_lasting(ttl_s)}


def _lasting(ttl_s: float) -> dict[str, str]:
    return {_TTL: f"{max(1, ceil(ttl_s))}s"} if ttl_s else {}


def is_marker(headers: dict[str, str]) -> bool:
    """Of a key that is gone."""
    return _OPERATION in headers or _MARKER in headers
