from enum import StrEnum

from msgspec import Struct

from mta.admin.asyncapi.docstrings import of_fields, of_type


class Word(StrEnum):
    """A word."""

    ONE = "one"
    """The
    first."""
    TWO = "two"


class Thing(Struct):
    """Two lines,
    one text."""

    name: str
    """What it is called."""
    size: int = 0
    kind: str = ""
    """Of which kind."""


def test_a_docstring_belongs_to_what_is_above_it() -> None:
    """On one line; what has none is left out."""
    assert of_fields(Thing) == {"name": "What it is called.", "kind": "Of which kind."}
    assert of_fields(Word) == {"ONE": "The first."}


def test_a_type_has_its_own() -> None:
    """On one line, too."""
    assert of_type(Thing) == "Two lines, one text."
