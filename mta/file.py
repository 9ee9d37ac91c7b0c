"""Small files of the state directory, each replaced as a whole."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Whole or not at all, and never readable by others; OSError. It waits for the disk."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    new.rename(path)
