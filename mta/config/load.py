"""Reads the configuration: files, environment, keys. Everything it finds wrong is one `ConfigError`.

Keys and passwords are looked up in `$CREDENTIALS_DIRECTORY` (systemd's `LoadCredential=`), else beside the
file. A directory loaded as one credential, `LoadCredential=dkim:/etc/mta/dkim`, turns up as `dkim_<file>`;
so a key of kind `dkim` is found under its own name, as `dkim_<name>`, or beside the file in `dkim/`.
Nothing here waits for the network, and nothing is read twice: a reload calls `load` again.
"""

import os
import socket
import stat
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from mta.classify.rules import RuleBook
from mta.config import bounces
from mta.config.assemble import assemble, node_name
from mta.config.document import Document
from mta.config.identities import KeyFile
from mta.config.problems import ConfigError, Findings
from mta.config.reading import read
from mta.config.settings import Config, NodeSettings
from mta.config.shaping import shaping
from mta.config.shaping_proof import prove_reach
from mta.jetstream.credentials import login
from mta.model.login import Login

SYSTEM_CONFIG = Path("/etc/mta/mta.toml")
_MOST_BYTES = 4_000_000
_BOUNCES = "bounces.toml"
_SHAPING = "shaping.toml"
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def find(option: Path | None, environ: Mapping[str, str], system: Path = SYSTEM_CONFIG) -> Path | None:
    """The configuration file: what was asked for, else `$MTA_CONFIG`, else the system's if there is one."""
    if option is not None:
        return option
    if environ.get("MTA_CONFIG"):
        return Path(environ["MTA_CONFIG"])
    return system if _is_there(system) else None


def state_dir(configured: str, environ: Mapping[str, str]) -> Path:
    """`$STATE_DIRECTORY` wins; systemd separates several by colons, ours is the first."""
    return Path(environ.get("STATE_DIRECTORY", "").split(":")[0] or configured)


def shipped(name: str) -> Path:
    """A file of `conf/`: inside the package when installed, beside it in a source tree."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_conf" / name
    return installed if installed.exists() else package.parent / "conf" / name


@cache
def shipped_rules() -> RuleBook:
    """The bounce rules of this version: read once, for they do not change while it runs. ConfigError where the file
    is broken."""
    path = shipped(_BOUNCES)
    found = Findings(str(path))
    shipped_ones, families = bounces.rules(_toml(path, found)[1], found)
    if found.problems:
        raise ConfigError(found.problems)
    return RuleBook((), shipped_ones, families)


@cache
def shipped_providers() -> frozenset[str]:
    """The names of those the shipped shaping knows. ConfigError where the file is broken."""
    path = shipped(_SHAPING)
    found = Findings(str(path))
    shaped = shaping(_toml(path, found)[1], found)
    found.raise_if_wrong()
    return frozenset(provider.name for provider in shaped.providers)


def load(path: Path, environ: Mapping[str, str], host_name: str = "", *, with_keys: bool = True) -> Config:
    """The configuration in `path`; ConfigError names everything that is wrong with it. Without keys it does for all
    but signing, and for a user who may not read them; what opens the door to NATS is read even so."""
    path = Path(os.path.abspath(path))
    found = Findings(str(path))
    text, table = _toml(path, found)
    found.raise_if_wrong()
    document = read(Document, table, "", found)
    found.raise_if_wrong()
    assert document is not None  # a document has no required keys of its own
    shaping_path = _beside(path, document.node.shaping, Document().node.shaping)
    shaping_found = Findings(str(shaping_path))
    shaping_table = _toml(shaping_path, shaping_found)[1]
    shaping_found.raise_if_wrong()  # of a file that was not read, each name of a provider would be a finding
    shaped = shaping(shaping_table, shaping_found)
    bounces_path = _beside(path, document.node.bounces, Document().node.bounces)
    book = _book(bounces_path, {provider.name for provider in shaped.providers}, found)
    name = node_name(document, host_name or socket.gethostname(), environ.get("MTA_INSTANCE", ""), found)
    keys = _KeyFiles(path.parent, environ.get("CREDENTIALS_DIRECTORY", ""))
    found.take(shaping_found)
    credentials, login = keys.nats(document.nats.credentials, "nats.credentials", found)
    config = assemble(
        document,
        node=NodeSettings(
            name=name,
            state_dir=state_dir(document.node.state_dir, environ),
            workers=document.node.workers,
            drain_timeout_s=float(document.node.drain_timeout),
        ),
        credentials=credentials,
        login=login,
        shaping=shaped,
        origin=path,
        shaping_origin=shaping_path,
        bounces=book,
        bounces_origin=bounces_path,
        text=text,
        read_key=keys.read if with_keys else _no_key,
        found=found,
    )
    reach = Findings(str(shaping_path))
    prove_reach(config.shaping, config.sources, config.routes, reach)
    found.take(reach)
    found.raise_if_wrong()
    return config


def _no_key(kind: str, name: str, path: str, found: Findings) -> None:
    """A `KeyReader` that reads none."""


class _KeyFiles:
    """Where keys lie. Beside the configuration a key that others may read is refused; systemd guards its own
    directory, whose files carry a group bit that is the mask of an access list."""

    def __init__(self, beside: Path, credentials: str) -> None:
        self._beside = beside
        self._credentials = Path(credentials) if credentials else None

    def read(self, kind: str, name: str, path: str, found: Findings) -> KeyFile | None:
        place = self._find(kind, name)
        if place is None:
            found.wrong(path, f"no such key file: {', '.join(str(one) for one in self._places(kind, name))}")
            return None
        try:
            with place.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                if self._is_exposed(place, mode):
                    found.wrong(path, f"others may read {place} (mode {stat.S_IMODE(mode):04o}): chmod 600")
                    return None
                return KeyFile(place, file.read(_MOST_BYTES))
        except OSError as error:
            found.wrong(path, f"{place} {_unreadable(error)}")
            return None

    def nats(self, name: str, path: str, found: Findings) -> tuple[str, Login | None]:
        """Where the credentials file lies, which the client library reads by itself, or the login it holds."""
        file = self.read("nats", name, path, found) if name else None
        if file is None:
            return "", None
        try:
            got = login(file.content)
        except ValueError as error:
            found.wrong(path, f"{file.place} {error}")
            return "", None
        return ("", got) if got is not None else (str(file.place), None)

    def _find(self, kind: str, name: str) -> Path | None:
        return next((place for place in self._places(kind, name) if _is_there(place)), None)

    def _places(self, kind: str, name: str) -> list[Path]:
        if Path(name).is_absolute():
            return [Path(name)]
        places = []
        if self._credentials is not None:
            flat = name.replace("/", "_")
            places += [self._credentials / flat, self._credentials / f"{kind}_{flat}"]
        return [*places, self._beside / name, self._beside / kind / name]

    def _is_exposed(self, place: Path, mode: int) -> bool:
        is_systemds = self._credentials is not None and self._credentials == place.parent
        return bool(mode & (stat.S_IRWXO if is_systemds else _OTHERS))


def _toml(path: Path, found: Findings) -> tuple[str, dict[str, Any]]:
    """Text and table of a file; empty after a finding."""
    try:
        with path.open("rb") as file:
            text = file.read(_MOST_BYTES).decode()
        return text, tomllib.loads(text)
    except OSError as error:
        found.wrong("", _unreadable(error))
    except UnicodeDecodeError as error:
        found.wrong("", f"is not UTF-8 at byte {error.start}")
    except tomllib.TOMLDecodeError as error:
        found.wrong("", f"is not TOML: {error}")
    return "", {}


def _is_there(place: Path) -> bool:
    """Also where we may not look: opening it then says why."""
    try:
        return place.exists()
    except OSError:
        return True


def _unreadable(error: OSError) -> str:
    advice = (
        ": run as root, or let this user read it (chown, chmod)" if isinstance(error, PermissionError) else ""
    )
    return f"cannot be read: {error.strerror}{advice}"


def _beside(config: Path, name: str, default: str) -> Path:
    """A rules file is relative to the configuration; where it has its default name and is not there, the
    shipped one holds."""
    place = config.parent / name
    return shipped(name) if name == default and not _is_there(place) else place


def _book(path: Path, providers: set[str], found: Findings) -> RuleBook:
    """The shipped rules, and in front of them those of an operator's file."""
    book = shipped_rules()
    if path.resolve() == shipped(_BOUNCES).resolve():
        return book
    in_file = Findings(str(path))
    known = providers | {rule.provider for rule in book.shipped if rule.provider} | {"other"}
    own, families = bounces.rules(_toml(path, in_file)[1], in_file, providers=known, is_operators=True)
    found.take(in_file)
    return RuleBook(own, book.shipped, {**book.families, **families})
