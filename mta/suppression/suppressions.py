"""Whom a daemon does not mail: the whole of MTA_SUPPRESSION in memory, kept up by a watch, and the way to add to it.

`run` first reads the file of the last life, then what is new in the bucket, and then hears of every change; until
`until_known` returns nothing may be pulled. A mark that this node adds counts here at once, and for the others within
the time a message takes.

The bucket is the truth; an operator who purges the whole stream behind its back must remove the file, too, since
nobody is told of a purge.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from mta.jetstream.kv import Bucket, Change, Place
from mta.model.lane import Lane
from mta.model.suppression import Mark, SuppressReason
from mta.model.times import moment, render
from mta.suppression.guard import DomainGuard, Guarded
from mta.suppression.image import load, save
from mta.suppression.key import (
    canonical,
    digest,
    domain_number,
    mark_key,
    number,
    number_of_key,
    payload_scope,
    salt,
    unsubscribe_scope,
)
from mta.suppression.settings import AddressForm, SuppressionSettings
from mta.suppression.store import MarkStore, packed
from mta.suppression.table import SHARDS, Table, pack, reason_of

_SAVE_EVERY_S = 300.0
_SWEEP_EVERY_S = 10.0
_SHARDS_A_SWEEP = 16
"""All of them in three hours: what has expired counts no more anyway, it only takes room."""

_WISHES = frozenset((SuppressReason.UNSUBSCRIBED, SuppressReason.COMPLAINED))

log = structlog.get_logger()


class _Brief(Struct, gc=False):
    """The part of a mark that is kept in memory."""

    reason: SuppressReason
    expires_at: str = ""


_DECODER = msgspec.json.Decoder(_Brief)
_UNREADABLE = pack(SuppressReason.MANUAL)
"""Somebody meant to stop something."""


class Scope:
    """The marks that count for the payloads of one tenant, stream and lane."""

    __slots__ = ("_all", "_get", "_own", "_skips")

    def __init__(self, table: Table, tenant: str, stream: str, lane: Lane, *, skips: bool) -> None:
        self._get = table.get
        self._all = salt(tenant)
        own = payload_scope(stream, lane)
        self._own = salt(tenant, own) if own else self._all
        self._skips = skips

    def reason(self, address: str, domain: str, now: float) -> SuppressReason | None:
        """Why an address gets nothing; None: it may be mailed. Both in their canonical form. Where marks are skipped a
        complaint is not."""
        hashed = number(digest(address))
        get = self._get
        for_all = get(hashed ^ self._all)
        for_own = get(hashed ^ self._own)
        for_domain = get(domain_number(domain) ^ self._all)
        if not (for_all or for_own or for_domain):
            return None
        found = [reason_of(value, now) for value in (for_all, for_own, for_domain)]
        if self._skips:
            return SuppressReason.COMPLAINED if SuppressReason.COMPLAINED in found else None
        return next((reason for reason in found if reason is not None), None)


class Suppressions:
    """`run` belongs into the owner's task group; `close` when that has ended. `file` None: nothing is kept on disk."""

    def __init__(
        self,
        bucket: Bucket,
        settings: SuppressionSettings,
        file: Path | None = None,
        *,
        on_guarded: Callable[[Guarded], None] = lambda guarded: None,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._bucket = bucket
        self._store = MarkStore(bucket)
        self._settings = settings
        self._file = file
        self._wall = wall
        self._table = Table()
        self._place = Place()
        self._saved = Place()
        self._known = asyncio.Event()
        self.guard = DomainGuard(on_guarded)

    def __len__(self) -> int:
        return len(self._table)

    async def until_known(self) -> None:
        """Returns when all marks there were at the start are in memory."""
        await self._known.wait()

    def scope(self, tenant: str, stream: str, lane: Lane, *, skips: bool = False) -> Scope | None:
        """For the look-ups of one payload; None: there is no mark of anybody. `skips`: only complaints count."""
        return Scope(self._table, tenant, stream, lane, skips=skips) if len(self._table) else None

    def reason(
        self, tenant: str, address: str, stream: str = "", lane: Lane = Lane.BULK
    ) -> SuppressReason | None:
        """One look-up by itself, of an address in any spelling."""
        address = canonical(address)
        found = Scope(self._table, tenant, stream, lane, skips=False)
        return found.reason(address, address.rpartition("@")[2], self._wall())

    def has_left(self, tenant: str, address: str, stream: str) -> bool:
        """Whether a person wants no more of this stream, or no mail at all, as things stand. An address that is full or
        unknown has not left: that mark may end."""
        hashed, now = number(digest(canonical(address))), self._wall()
        marks = (self._table.get(hashed ^ salt(tenant, scope)) for scope in ("", unsubscribe_scope(stream)))
        return any(reason_of(mark, now) in _WISHES for mark in marks)

    async def add(
        self, tenant: str, address: str, mark: Mark, stream: str = "", *, is_past: bool = False
    ) -> None:
        """Returns when the mark is stored, or one of more weight is there already; JetStreamError otherwise. `address`
        in any spelling, or `@domain`. `stream`: the scope, as `mta.suppression.key.unsubscribe_scope` says. What holds
        for a time only by configuration gets its end here; the address is left out where only hashes are kept.
        `is_past`: it is told of after the fact, and no mark is made where one was taken off since."""
        lasts_s = self._settings.lasts_s(mark.reason)
        if lasts_s and not mark.expires_at:
            mark = replace(mark, expires_at=render(moment(mark.at) + lasts_s))
        is_full = self._settings.addresses is AddressForm.FULL
        mark = replace(mark, address=canonical(address) if is_full else "")
        key = mark_key(tenant, address, stream)
        put = self._store.add_past if is_past else self._store.add
        kept = await put(key, mark, self._wall())
        if kept is None:
            log.info("suppression_was_taken_off", tenant=tenant, source=mark.source)
            return
        found = number_of_key(key)
        if (
            found is not None and kept.sequence > self._place.sequence
        ):  # else the watch has told of it already
            self._table.put(found, packed(kept.mark))

    async def run(self) -> None:
        """Until cancelled."""
        await self._recall()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="follow suppressions")
            group.create_task(self._save_now_and_then(), name="keep suppressions on disk")
            group.create_task(self._sweep(), name="let go of expired suppressions")

    async def close(self) -> None:
        """What is in memory goes to disk, for the next start."""
        if self._known.is_set():
            await self._save()

    # -- the bucket ---------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        await self._bucket.watch(
            self._changed, on_loaded=self._loaded, after=self._place, on_anew=self._begin_anew
        )

    def _begin_anew(self, born: str) -> None:
        if len(self._table):
            log.warning("suppressions_of_another_bucket", forgotten=len(self._table))
        self._table = Table()
        self._place = Place(0, born)

    def _changed(self, change: Change) -> None:
        self._place = Place(change.sequence, self._place.born)
        found = number_of_key(change.key)
        if found is None:
            log.warning("suppression_unreadable", key=change.key[:100])
        elif change.value is None:
            self._table.remove(found)
        else:
            self._table.put(found, _packed_value(change.value))

    def _loaded(self) -> None:
        log.info("suppressions_known", marks=len(self._table), sequence=self._place.sequence)
        self._known.set()

    # -- the disk -----------------------------------------------------------------------------------------------

    async def _recall(self) -> None:
        if self._file is None:
            return
        try:
            self._table, self._place = await asyncio.to_thread(load, self._file)
            self._saved = self._place
        except FileNotFoundError:
            return
        except (OSError, ValueError) as error:
            log.warning("suppressions_not_recalled", file=str(self._file), reason=str(error))

    async def _save_now_and_then(self) -> None:
        await self._known.wait()
        while True:
            await self._save()
            await asyncio.sleep(_SAVE_EVERY_S)

    async def _save(self) -> None:
        place = self._place
        if self._file is None or place == self._saved:
            return
        try:
            await save(self._file, self._table, place)
            self._saved = place
        except OSError as error:
            log.warning("suppressions_not_saved", file=str(self._file), reason=str(error))

    async def _sweep(self) -> None:
        shard = 0
        while True:
            await asyncio.sleep(_SWEEP_EVERY_S)
            for _ in range(_SHARDS_A_SWEEP):
                self._table.sweep(shard, self._wall())
                shard = (shard + 1) % SHARDS


def _packed_value(value: bytes) -> int:
    try:
        brief = _DECODER.decode(value)
        return pack(brief.reason, moment(brief.expires_at) if brief.expires_at else 0.0)
    except (msgspec.MsgspecError, ValueError):
        return _UNREADABLE
