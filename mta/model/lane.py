"""The two lanes. A lane is a token in subjects and a name in configuration."""

from enum import StrEnum


class Lane(StrEnum):
    """How urgent mail is."""

    TRANSACTIONAL = "transactional"
    """Somebody waits for it."""
    BULK = "bulk"
    """Everything else."""
