"""How a thing that a verb looked at is doing, and how that is told: for `check`, `dkim check` and `preflight`."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

from msgspec import Struct
from rich.text import Text

from mta.admin.output import Output, Table, cell


class Grade(StrEnum):
    """From good to bad, as JSON has it."""

    PASS = "pass"
    WARN = "warn"
    UNKNOWN = "unknown"
    """Not to be known now: DNS does not answer, or what receivers see does not stand in the configuration."""
    FAIL = "fail"


_STYLES = {
    **{Grade.PASS: "green", Grade.WARN: "yellow"},
    **{Grade.UNKNOWN: "bold yellow", Grade.FAIL: "bold red"},
}


class Line(Struct, frozen=True, gc=False):
    """`what` was looked at, `text` says what was found, and for all but PASS what to do."""

    grade: Grade
    what: str
    text: str


def severity(grade: Grade) -> int:
    """The larger, the worse."""
    return list(Grade).index(grade)


def graded(grade: Grade) -> Text:
    """For a table: what fails is to be found at a glance, and without colours."""
    return cell(grade.upper() if grade is Grade.FAIL else grade, _STYLES[grade])


def tell(lines: Sequence[Line], output: Output) -> None:
    """A line for each, and a last one that counts."""
    shown = Table("", "what", "found")
    for line in lines:
        shown.add_row(graded(line.grade), cell(line.what), cell(line.text))
        output.result({"grade": line.grade, "what": line.what, "text": line.text})
    output.show(shown)
    output.say("")
    count([line.grade for line in lines], output)


def count(grades: Iterable[Grade], output: Output, of: str = "") -> None:
    """How many there are of each, in the style of the worst."""
    found = sorted(grades, key=severity)
    said = ", ".join(f"{found.count(grade)} {grade}" for grade in Grade if grade in found)
    output.say(of + said, _STYLES[found[-1] if found else Grade.PASS])
