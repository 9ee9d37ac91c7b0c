"""What is wrong with a configuration, said so that it can be put right.

A reader goes on after a problem where it can, so that one run shows them all; whoever asked for the
configuration gets them in one `ConfigError`. A problem names file and dotted path, never the content of a
key or a password.
"""

from collections.abc import Iterable
from difflib import get_close_matches

from msgspec import Struct


class Problem(Struct, frozen=True, gc=False):
    """`path` is dotted (`nats.ack_wait`) and empty where the whole file is meant."""

    file: str
    path: str
    text: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.path, self.text) if part)


class ConfigError(ValueError):
    """The configuration cannot be used: exit code 78."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


class Findings:
    """Collects what is wrong (`problems`) and what is odd (`warnings`) in one file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []

    def wrong(self, path: str, text: str) -> None:
        self.problems.append(Problem(self.file, path, text))

    def odd(self, path: str, text: str) -> None:
        self.warnings.append(Problem(self.file, path, text))

    def unknown(self, path: str, key: str, known: Iterable[str], noun: str = "key") -> None:
        """`key` is not one of `known`: say which of them may have been meant."""
        self.wrong(path, f"unknown {noun}{nearest(key, known)}")

    def take(self, other: "Findings") -> None:
        self.problems += other.problems
        self.warnings += other.warnings

    def raise_if_wrong(self) -> None:
        if self.problems:
            raise ConfigError(self.problems)


def nearest(key: str, known: Iterable[str]) -> str:
    """`; did you mean "ack_wait"?`, or the choices where nothing is near."""
    choices = sorted(known)
    close = get_close_matches(key, choices, n=1, cutoff=0.6)
    if close:
        return f'; did you mean "{close[0]}"?'
    return f"; known here: {', '.join(choices)}" if choices else "; nothing is known here"
