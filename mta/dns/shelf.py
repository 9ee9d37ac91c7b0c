"""The MTA-STS policies that bind until their time is over, through restarts.

In memory, and in one JSON file of the state directory that is replaced as a whole. The file holds each policy as the
lines of its own, so that what is read back went through the same parser as what a stranger sent. What cannot be
read is reported and left out; what cannot be written is reported, kept in memory and tried again.

Bounded by number and by bytes: the policy that was put or looked at again longest ago makes room.
"""

import asyncio
import contextlib
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from mta.dns.mx import name_fault
from mta.dns.policy import policy_lines, read_policy
from mta.dns.settings import StsLimits
from mta.file import write_whole
from mta.model.tls import StsMode, StsPolicy

_LEAST_LIFE_S = 300.0  # an age of 0 must not mean one fetch a message
_SOONEST_REFRESH_S = 300.0
_LATEST_REFRESH_S = 86_400.0  # RFC 8461 section 5.1 proposes once a day
_OWN_BYTES = 400  # of a policy without its patterns, in memory
_PATTERN_BYTES = 60  # of a pattern without its letters
_FILE_FACTOR = 2  # a file larger than this times the bound on memory is not ours

log = structlog.get_logger()


class Kept(Struct, frozen=True, gc=False):
    """A policy, when it was fetched and when its record was last asked for and is to be asked for again, in seconds
    since the epoch."""

    policy: StsPolicy
    fetched_at: float
    looked_at: float
    look_at: float
    until: float

    @property
    def refresh_at(self) -> float:
        """When to fetch it anew although its `id` stayed: at half its life, and once a day."""
        half_s = (self.until - self.fetched_at) / 2
        return self.fetched_at + min(max(half_s, _SOONEST_REFRESH_S), _LATEST_REFRESH_S)


class _Line(Struct, frozen=True, gc=False):
    id: str
    fetched_at: float
    text: str


class _File(Struct, frozen=True):
    version: Literal[1]
    policies: dict[str, _Line]


class Shelf:
    """`path` is the file. `start` and `close` inside the running loop; `close` writes what was not written."""

    def __init__(self, path: Path, limits: StsLimits) -> None:
        self._path = path
        self._limits = limits
        self._kept: dict[str, Kept] = {}
        self._bytes = 0
        self._is_dirty = False
        self._is_refused = False
        self._closing = asyncio.Event()
        self._saving: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._kept)

    async def start(self, now: float) -> None:
        """Read the file. Each record is due to be asked for at once, because its policy may be old."""
        for domain, kept in await asyncio.to_thread(self._binding, now):
            self._insert(domain, kept)

    async def close(self) -> None:
        self._closing.set()
        if self._saving is not None:
            await self._saving

    def get(self, domain: str, now: float) -> Kept | None:
        """What still binds. A clock that was ahead must not make a policy eternal, nor keep anybody from looking."""
        kept = self._kept.get(domain)
        if kept is not None and kept.looked_at > now:
            kept = _unlooked(kept.policy, min(kept.fetched_at, now))
            self._insert(domain, kept)
        if kept is not None and kept.until <= now:
            self._remove(domain)
            return None
        return kept

    def due(self, now: float) -> list[str]:
        """The domains whose policy is enforced and to be fetched anew, though nobody may have asked for it."""
        return [
            domain
            for domain, kept in self._kept.items()
            if kept.policy.mode is StsMode.ENFORCE and kept.refresh_at <= now < kept.until
        ]

    def put(self, domain: str, policy: StsPolicy, now: float, look_at: float) -> None:
        """Fetched now; its record is to be asked for again at `look_at`, or when it has to be refreshed."""
        self._insert(domain, _in_time(Kept(policy, now, now, look_at, _until(policy, now))))
        self._is_dirty = True
        if self._saving is None:
            self._saving = asyncio.create_task(self._save(), name="write the MTA-STS policies")

    def look_again(self, domain: str, now: float, look_at: float) -> None:
        """Its record was asked for now; for `look_at` see `put`."""
        kept = self._kept.get(domain)
        if kept is not None:
            self._insert(domain, _in_time(replace(kept, looked_at=now, look_at=look_at)))

    def _insert(self, domain: str, kept: Kept) -> None:
        self._remove(domain)
        self._kept[domain] = kept
        self._bytes += _size(kept)
        while len(self._kept) > self._limits.most_policies or self._bytes > self._limits.most_kept_bytes:
            self._remove(next(iter(self._kept)))

    def _remove(self, domain: str) -> None:
        kept = self._kept.pop(domain, None)
        if kept is not None:
            self._bytes -= _size(kept)

    # -- the file -----------------------------------------------------------------------------------------------

    def _read(self) -> dict[str, _Line]:
        try:
            size = self._path.stat().st_size
            if size > self._limits.most_kept_bytes * _FILE_FACTOR:
                raise ValueError(f"{size} bytes are more than it can have")
            return msgspec.json.decode(self._path.read_bytes(), type=_File).policies
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:  # msgspec's are ValueErrors
            log.error("sts_policies_unreadable", path=str(self._path), error=str(error))
            return {}

    def _binding(self, now: float) -> list[tuple[str, Kept]]:
        """What the file holds that is sound and still binds."""
        found: list[tuple[str, Kept]] = []
        for domain, line in self._read().items():
            policy = read_policy(line.id, line.text.encode())
            fetched_at = min(line.fetched_at, now)  # as in `get`
            if name_fault(domain) or not isinstance(policy, StsPolicy):
                log.warning("sts_policy_unreadable", domain=domain[:80])
            elif _until(policy, fetched_at) > now:
                found.append((domain, _unlooked(policy, fetched_at)))
        return found

    async def _save(self) -> None:
        """Until what is in memory is in the file, at most every `save_s`; while closing at once, and once."""
        while self._is_dirty:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._limits.save_s):
                    await self._closing.wait()
            self._is_dirty = False
            try:
                await asyncio.to_thread(self._write, tuple(self._kept.items()))
            except OSError as error:
                self._is_dirty = True
                if not self._is_refused:
                    log.error("sts_policies_unwritten", path=str(self._path), error=str(error))
                self._is_refused = True
                if self._closing.is_set():
                    break
            else:
                self._is_refused = False
        self._saving = None

    def _write(self, kept: Iterable[tuple[str, Kept]]) -> None:
        lines = {
            domain: _Line(one.policy.id, one.fetched_at, "\n".join(policy_lines(one.policy)))
            for domain, one in kept
        }
        write_whole(self._path, msgspec.json.encode(_File(1, lines)))


def _unlooked(policy: StsPolicy, fetched_at: float) -> Kept:
    """Its record is due to be asked for at once."""
    return Kept(policy, fetched_at, 0.0, 0.0, _until(policy, fetched_at))


def _in_time(kept: Kept) -> Kept:
    """Looked at no later than it has to be refreshed, unless that time is over and nothing came of it."""
    if kept.looked_at < kept.refresh_at < kept.look_at:
        return replace(kept, look_at=kept.refresh_at)
    return kept


def _until(policy: StsPolicy, fetched_at: float) -> float:
    return fetched_at + max(float(policy.max_age_s), _LEAST_LIFE_S)


def _size(kept: Kept) -> int:
    return _OWN_BYTES + sum(_PATTERN_BYTES + len(pattern) for pattern in kept.policy.mx)
