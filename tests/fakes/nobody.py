"""A user who may not read something: root may read everything, and tests often run as root."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def as_nobody(locked: Path) -> Iterator[None]:
    """Takes every right from the directory and, if we are root, our identity from us."""
    is_root = os.geteuid() == 0
    locked.chmod(0)
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        locked.chmod(0o700)
