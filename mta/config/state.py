"""The state directory: whether the daemon can live in it. Tried, not asked: rights tell nothing of a read-only file
system, of /proc, or of a file in its place."""

import errno
import os
import tempfile
from pathlib import Path

from mta.config.problems import ConfigError, Problem

_PASSING = frozenset((errno.ENOSPC, errno.EDQUOT))


def trouble(place: Path) -> OSError | None:
    """What stands in the way of making it and of writing there. Leaves nothing behind."""
    try:
        there = next(one for one in (place, *place.parents) if one.exists())
        os.rmdir(tempfile.mkdtemp(prefix=".mta-", dir=there))
    except OSError as error:
        return error
    return None


def prepare(place: Path, origin: Path) -> None:
    """Makes it. ConfigError where it cannot be; a full disk is none, as that may pass."""
    try:
        error = trouble(place)
        if error is None:
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as failed:
        error = failed
    if error is None:
        return
    if error.errno in _PASSING:
        raise error
    raise ConfigError([Problem(str(origin), "node.state_dir", unusable(place, error))]) from error


def unusable(place: Path, error: OSError) -> str:
    """With what to do."""
    return f"{place} cannot be used ({error.strerror}): name a directory that the daemon's user may make or write"
