"""How a verb gets to its configuration, to the nameservers that names, and to NATS: by the configuration, else to the
embedded server of `state_dir/nats.json`."""

import asyncio
import shlex
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import structs

from mta.admin.errors import WrongInput
from mta.config.document import NodeTable
from mta.config.load import SYSTEM_CONFIG, find, load, shipped, state_dir
from mta.config.problems import ConfigError, Problem
from mta.config.settings import Config
from mta.dns.nameservers import Nameservers, StubNameservers
from mta.jetstream.connection import Link, open_link
from mta.jetstream.embedded import read_address
from mta.jetstream.errors import JetStreamUnavailable, Unreachable
from mta.jetstream.settings import NatsSettings

_PATIENCE_S = 5.0
"""Somebody is waiting: a verb gives up sooner than a daemon that starts beside its server."""


def configuration(option: Path | None, environ: Mapping[str, str]) -> Config | None:
    """What is configured, or None where there is no configuration at all. Without the keys: few verbs need them."""
    path = find(option, environ)
    return load(path, environ, with_keys=False) if path is not None else None


def needed(option: Path | None, environ: Mapping[str, str], *, with_keys: bool = False) -> Config:
    """What is configured; ConfigError where there is no configuration, or anything is wrong with it."""
    path = find(option, environ)
    if path is None:
        hint = f"there is no configuration: name one with --config; the shipped one is {shipped('mta.toml')}"
        raise ConfigError([Problem("", "", hint)])
    return load(path, environ, with_keys=with_keys)


@asynccontextmanager
async def nameservers(config: Config) -> AsyncIterator[Nameservers]:
    """Those of `[dns]`, for the length of a verb; WrongInput where they cannot be used."""
    servers = StubNameservers(config.dns)
    try:
        servers.start()
    except ValueError as error:
        raise WrongInput(str(error)) from error
    try:
        yield servers
    finally:
        await servers.close()


def nats_settings(config: Config | None, environ: Mapping[str, str]) -> NatsSettings:
    """JetStreamUnavailable where an embedded server is meant and none was ever started."""
    configured = config.nats if config is not None else NatsSettings()
    patience_s = min(configured.connect_timeout_s, _PATIENCE_S)
    if not configured.embedded:
        return structs.replace(configured, connect_timeout_s=patience_s)
    place = config.node.state_dir if config is not None else state_dir(NodeTable().state_dir, environ)
    address = read_address(place)
    if address is None:
        raise JetStreamUnavailable(_no_address(place))
    return structs.replace(configured, servers=(address.url,), connect_timeout_s=patience_s)


def _no_address(place: Path) -> str:
    try:
        (place / "nats.json").open().close()
    except PermissionError:
        return f"{place}/nats.json may not be read by this user: run as root, or as the daemon's"
    except OSError:
        pass
    return (
        f"no embedded server has been started in {place} (no nats.json there): start `mta run`, or name a "
        "configuration with --config"
    )


def again(config: Config | None) -> str:
    """` --config FILE` for a command that is to find the same configuration; empty where none need be named."""
    if config is None or config.origin == SYSTEM_CONFIG:
        return ""
    return f" --config {shlex.quote(str(config.origin))}"


@asynccontextmanager
async def link(config: Config | None, environ: Mapping[str, str], verb: str) -> AsyncIterator[Link]:
    """An open link for the length of a verb; if it ends before, so does the verb. What the client library complains of
    meanwhile ends up in the error of whatever fails."""
    settings = nats_settings(config, environ)
    try:
        opened = await open_link(settings, name=f"mta {verb}", report=_silent)
    except Unreachable as error:
        if not settings.embedded:
            raise
        raise JetStreamUnavailable(f"{error}; the embedded server runs only while `mta run` does") from error
    try:
        async with beside(opened.watch(), f"{verb}: watch the link"):
            yield opened
    finally:
        await opened.close()


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, None], name: str) -> AsyncIterator[None]:
    """Runs `work` for as long as the body; if it fails, so does the body, with its error."""
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(work, name=name)
            yield
            task.cancel()
    except BaseExceptionGroup as errors:
        raise first_of(errors) from errors


def first_of(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error that is no group: what a person is told."""
    first = errors.exceptions[0]
    return first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _silent(text: str) -> None:
    """A verb's own error says what matters."""
