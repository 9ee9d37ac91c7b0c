"""The two lanes. A lane is a token in subjects and a name in configuration."""

from enum import StrEnum


class Lane(StrEnum):
    TRANSACTIONAL = "transactional"
    BULK = "bulk"
