"""Templates by reference, from a key-value bucket: `<tenant>.<name>.<version>`, and
`<tenant>.<name>.latest` beside them, whose value is a version.

Invariants: a version never changes once it is there, so what was read is kept; `latest` is asked for again
after a few seconds, so a new version takes effect without a restart. Whether a template compiles is not
known here: that is looked at in a worker (`mta.compose.workers.Composer.check`) before it is put, and at
admission.
"""

import re
import time
from collections.abc import Callable
from typing import Literal, Protocol

import msgspec
from msgspec import Struct

from mta.compose.cache import LruCache
from mta.jetstream.kv import Entry
from mta.model.payload import Content

LATEST = "latest"
LATEST_KEPT_S = 5.0
_TOKEN = re.compile(r"[a-z0-9_-]{1,64}\Z")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}\Z")


class TemplateMissing(LookupError):
    """The text names the template and is fit for an event."""


class TemplateExists(ValueError):
    """A version is immutable, and this one has other content."""


class TemplateBucket(Protocol):
    """What is used of `mta.jetstream.kv.Bucket`."""

    async def get(self, key: str, *, leader: bool = False) -> Entry | None: ...

    async def put(self, key: str, value: bytes) -> int: ...

    async def create(self, key: str, value: bytes) -> bool: ...

    async def keys(self, prefix: str = "") -> list[str]: ...


class StoredTemplate(Struct, frozen=True, omit_defaults=True, gc=False):
    """As it stands in the bucket, as JSON, but for `version`, which is the key's."""

    subject: str | None = None
    text: str | None = None
    html: str | None = None
    amp: str | None = None
    engine: Literal["jinja", "static"] = "jinja"
    undefined: Literal["error", "empty"] = "error"
    version: str = ""

    def content(self, asked: Content) -> Content:
        """What a payload's content means that names this template. Its own subject wins, and either of the two may
        say that undefined names are empty."""
        return Content(
            subject=self.subject if asked.subject is None else asked.subject,
            text=self.text,
            html=self.html,
            amp=self.amp,
            engine=self.engine,
            undefined=self.undefined if asked.undefined == "error" else asked.undefined,
        )


class TemplateVersions(Struct, frozen=True):
    """One line of a list. `latest` is empty if the pointer is missing."""

    name: str
    versions: tuple[str, ...]
    latest: str


_decoder = msgspec.json.Decoder(StoredTemplate)


class Templates:
    def __init__(
        self,
        bucket: TemplateBucket,
        *,
        clock: Callable[[], float] = time.monotonic,
        entries: int = 1000,
        kept_bytes: int = 32_000_000,
    ) -> None:
        self._bucket = bucket
        self._clock = clock
        self._versions: LruCache[str, StoredTemplate] = LruCache(entries, kept_bytes)
        self._latest: LruCache[str, tuple[str, float]] = LruCache(entries, entries)

    async def get(self, tenant: str, name: str, version: str = LATEST) -> StoredTemplate:
        """TemplateMissing also for what could be no name: nothing else can be meant."""
        if not all(_TOKEN.match(token) for token in (tenant, name, version)):
            raise TemplateMissing(f"no template {name[:64]!a}, version {version[:64]!a}")
        if version == LATEST:
            version = await self._latest_version(tenant, name)
        key = f"{tenant}.{name}.{version}"
        found = self._versions.get(key)
        if found is None:
            entry = await self._bucket.get(key)
            if entry is None:
                # A replica may be behind what `latest` already says.
                entry = await self._bucket.get(key, leader=True)
            if entry is None:
                raise TemplateMissing(f"no template {name}, version {version}")
            found = _decoded(entry.value, name, version)
            self._versions.put(key, found, len(entry.value))
        return found

    async def put(self, tenant: str, name: str, template: StoredTemplate, version: str = "") -> str:
        """Stores a version (the next number, if none is named), points `latest` at it, and returns it. The
        same content under the same version again is no error."""
        for token in (tenant, name, version or "1"):
            if not _TOKEN.match(token) or token == LATEST:
                raise ValueError(f"{token[:64]!a} is not 1 to 64 of a-z, 0-9, - and _, or is {LATEST!r}")
        value = msgspec.json.encode(msgspec.structs.replace(template, version=""))
        while True:
            stored_as = version or await self._next_version(tenant, name)
            if await self._bucket.create(f"{tenant}.{name}.{stored_as}", value):
                break
            if version:
                there = await self._bucket.get(f"{tenant}.{name}.{version}", leader=True)
                if there is None or there.value != value:
                    raise TemplateExists(f"template {name} has a version {version} with other content")
                break
            # Somebody else took the number between the list and us.
        await self._bucket.put(f"{tenant}.{name}.{LATEST}", stored_as.encode("ascii"))
        self._latest.put(f"{tenant}.{name}", (stored_as, self._clock()), 1)
        return stored_as

    async def ls(self, tenant: str) -> list[TemplateVersions]:
        versions: dict[str, list[str]] = {}
        for key in await self._bucket.keys(tenant):
            _, name, version = key.split(".", 2)
            versions.setdefault(name, []).append(version)
        listed = []
        for name in sorted(versions):
            found = [version for version in versions[name] if version != LATEST]
            pointer = await self._bucket.get(f"{tenant}.{name}.{LATEST}")
            latest = "" if pointer is None else pointer.value.decode("ascii", "replace")
            listed.append(TemplateVersions(name, tuple(sorted(found, key=_order)), latest))
        return listed

    async def _latest_version(self, tenant: str, name: str) -> str:
        now = self._clock()
        version, asked_at = self._latest.get(f"{tenant}.{name}") or ("", 0.0)
        if version and now - asked_at < LATEST_KEPT_S:
            return version
        entry = await self._bucket.get(f"{tenant}.{name}.{LATEST}")
        if entry is None:
            raise TemplateMissing(f"no template {name}")
        version = entry.value.decode("ascii", "replace")
        if not _TOKEN.match(version) or version == LATEST:
            raise TemplateMissing(f"template {name}: its latest version is {version[:64]!a}, which is none")
        self._latest.put(f"{tenant}.{name}", (version, now), 1)
        return version

    async def _next_version(self, tenant: str, name: str) -> str:
        numbers = [
            int(version)
            for key in await self._bucket.keys(f"{tenant}.{name}")
            if _NUMBER.match(version := key.rpartition(".")[2])
        ]
        return str(max(numbers, default=0) + 1)


def _decoded(value: bytes, name: str, version: str) -> StoredTemplate:
    try:
        found = msgspec.structs.replace(_decoder.decode(value), version=version)
    except msgspec.DecodeError as error:
        raise TemplateMissing(f"template {name}, version {version}, is not readable: {error}") from error
    if found.text is None and found.html is None:
        raise TemplateMissing(f"template {name}, version {version}, has neither text nor html")
    return found


def _order(version: str) -> tuple[int, str]:
    """Numbers by value and before names."""
    return (int(version), "") if _NUMBER.match(version) else (10**9, version)
