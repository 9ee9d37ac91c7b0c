"""`mta suppress`: who gets no more mail of a tenant: shown, added to, and taken off.

The list is the bucket MTA_SUPPRESSION, which every daemon watches: a change holds everywhere within moments. Each is
told on MTA_OPS, with who made it and why.
"""

import getpass
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import msgspec
from msgspec import Struct
from rich.text import Text

from mta.admin.access import link
from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.marks_file import MOST_DETAIL, ends_at, is_stream, target_of
from mta.admin.output import Output, Table, cell, many
from mta.config.settings import Config
from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket, Change
from mta.jetstream.layout import STRIKES, SUPPRESSION
from mta.jetstream.subjects import escape, ops_subject
from mta.model import times
from mta.model.suppression import Mark, SuppressReason
from mta.suppression.key import MarkKey, is_digest, key_of, mark_key, parse_key
from mta.suppression.settings import AddressForm, SuppressionSettings
from mta.suppression.store import Kept, MarkStore, decode
from mta.suppression.store import ends_at as end_of
from mta.suppression.strikes import Strikes

_MOST_SHOWN = 1_000
_STYLES = {SuppressReason.COMPLAINED: "red", SuppressReason.UNSUBSCRIBED: "magenta"}


class Found(Struct, frozen=True, gc=False):
    """A mark and where it lies."""

    key: MarkKey
    mark: Mark

    @property
    def target(self) -> str:
        return self.mark.address or self.key.digest

    def fields(self) -> dict[str, str]:
        """As JSON shows it, and a file; `address` is missing where only the hash is kept."""
        mark = self.mark
        fields = {
            "tenant": self.key.tenant,
            "address": mark.address,
            "hash": self.key.digest,
            "stream": self.key.stream,
            "reason": str(mark.reason),
            "at": mark.at,
            "expires": mark.expires_at,
            "source": mark.source,
            "detail": mark.detail,
        }
        return {name: value for name, value in fields.items() if value}


async def ls(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    tenant: str,
    reason: str,
    target: str,
) -> int:
    """All marks, those of a tenant, or with `target` what keeps mail from one address (a mark of its domain, too), one
    domain or hash."""
    check_tenant(config, tenant)
    wanted = _reason(reason) if reason else None
    shown = Table(
        *("address", "tenant", "stream", "reason", "since", "until", "source"),
        spare=("source", "since", *(("tenant",) if tenant else ())),
    )
    count = 0

    def show(change: Change) -> None:
        nonlocal count
        found = found_in(change, time.time())
        if found is None or (wanted is not None and found.mark.reason is not wanted):
            return
        count += 1
        output.result(found.fields())
        if count <= _MOST_SHOWN:
            shown.add_row(*_cells(found))

    async with link(config, environ, "suppress") as opened:
        bucket = Bucket(opened, SUPPRESSION)
        if target:
            named = _target(target)
            for each in (named, f"@{named.rpartition('@')[2]}") if "@" in named[1:] else (named,):
                hashed = _key(tenant, each)
                last = await bucket.last(hashed)
                if last is not None:
                    show(last)
                await bucket.each(show, hashed)
        else:
            await bucket.each(show, escape(tenant) if tenant else "")
    if count:
        output.show(shown)
        if count > _MOST_SHOWN:
            output.say(f"… and {count - _MOST_SHOWN:,} more: mta suppress export has them all.")
    else:
        output.say("Nobody is suppressed." if not target else f"{target} is not suppressed.", "green")
    return 0


def found_in(change: Change, now: float) -> Found | None:
    """None for what is no mark, or no longer."""
    key = parse_key(change.key)
    if key is None or change.value is None:
        return None
    mark = decode(change.value)
    return Found(key, mark) if end_of(mark) > now else None


def _cells(found: Found) -> tuple[Text, ...]:
    mark = found.mark
    return (
        cell(found.target),
        cell(found.key.tenant),
        cell(found.key.stream or "all"),
        cell(mark.reason, _STYLES.get(mark.reason, "yellow")),
        cell(mark.at[:10]),
        cell(mark.expires_at[:10] or "for good"),
        cell(mark.source),
    )


class Adding(Struct, frozen=True):
    """What `add` and `import` say for all. `expires` is a time or a duration, empty or `0`: for good."""

    tenant: str
    reason: str = SuppressReason.MANUAL
    expires: str = ""
    detail: str = ""
    stream: str = ""

    def mark(self, now: float, form: AddressForm, target: str) -> Mark:
        """WrongUsage."""
        try:
            end = ends_at(self.expires, now) if self.expires else 0.0
        except ValueError as error:
            raise WrongUsage(f"--expires: {error}") from error
        if end and end <= now:
            raise WrongUsage("--expires: that time has passed")
        return Mark(
            _reason(self.reason),
            at=times.render(now),
            source=who(),
            expires_at=times.render(end) if end else "",
            address=kept_address(target, form),
            detail=" ".join(self.detail.split())[:MOST_DETAIL],
        )

    def check(self, config: Config | None) -> None:
        """WrongUsage for what is never mailed."""
        check_tenant(config, self.tenant)
        if self.stream and not is_stream(self.stream):
            raise WrongUsage(f"--stream {self.stream}: expected 1 to 64 characters of a-z, 0-9, _ and -")


def check_tenant(config: Config | None, tenant: str) -> None:
    """WrongUsage for one that is not configured: a misspelt name would look as if all were well. Empty: all."""
    if tenant and config is not None and config.tenants and tenant not in config.tenants:
        raise WrongUsage(f"--tenant {tenant}: expected one of {', '.join(config.tenants)}")


def kept_address(target: str, form: AddressForm) -> str:
    return target if form is AddressForm.FULL and not is_digest(target) else ""


async def add(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    adding: Adding,
    addresses: Sequence[str],
) -> int:
    adding.check(config)
    targets = [_target(address) for address in addresses]
    now, form = time.time(), settings_of(config).addresses
    marks = [adding.mark(now, form, target) for target in targets]
    new = 0
    async with link(config, environ, "suppress") as opened:
        store = MarkStore(Bucket(opened, SUPPRESSION))
        for target, mark in zip(targets, marks, strict=True):
            kept = await store.add(_key(adding.tenant, target, adding.stream), mark, now)
            new += kept.is_new
            output.result({"address": target, "new": kept.is_new, "reason": str(kept.mark.reason)})
            if not kept.is_new:
                output.say(
                    f"{target}: stays as it is, {kept.mark.reason} since {kept.mark.at[:10]}.", "yellow"
                )
        if new:
            await tell(opened, "add", adding.tenant, new, adding.detail or adding.reason)
    output.say(f"Suppressed: {many(new, 'mark')}.", "green")
    return 0


async def rm(
    config: Config | None,
    environ: Mapping[str, str],
    output: Output,
    tenant: str,
    addresses: Sequence[str],
    *,
    reason: str,
    stream: str = "",
    is_forced: bool = False,
) -> int:
    """Of all or nothing: who is not on the list, or complained, is found before anything is done."""
    check_tenant(config, tenant)
    if not reason:
        raise WrongUsage("--reason is needed: whoever finds it gone will want to know why")
    targets = [_target(address) for address in addresses]
    async with link(config, environ, "suppress") as opened:
        bucket = Bucket(opened, SUPPRESSION)
        store, strikes = MarkStore(bucket), Strikes(Bucket(opened, STRIKES))
        found: dict[str, Kept] = {}
        for target in targets:
            kept = await store.get(_key(tenant, target, stream))
            if kept is None:
                raise WrongInput(f"{target} is not on the list{await _elsewhere(bucket, tenant, target)}")
            if kept.mark.reason is SuppressReason.COMPLAINED and not is_forced:
                raise WrongInput(
                    f"{target} complained: if you are sure that mail is wanted again, add --force"
                )
            found[target] = kept
        for target, kept in found.items():
            if not await store.remove(_key(tenant, target, stream), kept):
                raise WrongInput(f"{target} changed at this very moment: look at it again")
            if not stream:
                await strikes.forget(_key(tenant, target))
            output.result({"address": target, "removed": str(kept.mark.reason)})
        await tell(opened, "rm", tenant, len(found), reason)
    output.say(f"Removed: {', '.join(found)}.", "green")
    return 0


async def _elsewhere(bucket: Bucket, tenant: str, target: str) -> str:
    """A hint where a stream of it is."""
    keys = [parse_key(key) for key in await bucket.keys(_key(tenant, target))]
    streams = [key.stream for key in keys if key is not None]
    return f" of all mail: name one with --stream, as {', '.join(streams)}" if streams else ""


def settings_of(config: Config | None) -> SuppressionSettings:
    return config.suppression if config is not None else SuppressionSettings()


def _key(tenant: str, target: str, stream: str = "") -> str:
    return key_of(tenant, target, stream) if is_digest(target) else mark_key(tenant, target, stream)


def _target(text: str) -> str:
    try:
        return target_of(text)
    except ValueError as error:
        raise WrongInput(f"{text}: {error}") from error


def _reason(name: str) -> SuppressReason:
    try:
        return SuppressReason(name)
    except ValueError:
        raise WrongUsage(f"--reason {name}: expected one of {', '.join(SuppressReason)}") from None


async def tell(opened: Link, verb: str, tenant: str, count: int, reason: str) -> None:
    """On MTA_OPS, under the name of this host. No addresses: that stream is for operators' eyes of many tenants."""
    node, at = socket.gethostname(), time.time()
    event = {
        "v": 1,
        "type": "suppression_changed",
        "time": times.render(at),
        "node": node,
        "tenant": tenant,
        "verb": verb,
        "entries": str(count),
        "reason": reason,
        "by": who(),
    }
    headers = {"Nats-Msg-Id": f"{node}.suppression.{verb}.{at:.6f}"}
    subject = ops_subject(node, "suppression_changed")
    await opened.call(subject, msgspec.json.encode(event), headers=headers)


def who() -> str:
    return f"{getpass.getuser()}@{socket.gethostname()}"


@asynccontextmanager
async def opened_bucket(
    config: Config | None, environ: Mapping[str, str]
) -> AsyncIterator[tuple[Link, Bucket]]:
    async with link(config, environ, "suppress") as opened:
        yield opened, Bucket(opened, SUPPRESSION)
