import json

import pytest

from mta.admin.grade import Grade, Line, count, graded, severity, tell
from mta.admin.output import Output

LINES = [Line(Grade.PASS, "a", "x"), Line(Grade.FAIL, "bb", "y: mend it"), Line(Grade.PASS, "c", "\x1b[31m")]


def test_grades_stand_from_good_to_bad() -> None:
    """What is not known is worse than a warning and better than a failure."""
    assert sorted(Grade, key=severity) == [Grade.PASS, Grade.WARN, Grade.UNKNOWN, Grade.FAIL]


def test_what_fails_is_seen_without_colours() -> None:
    """And in a colour of its own."""
    assert [graded(grade).plain for grade in Grade] == ["pass", "warn", "unknown", "FAIL"]
    assert len({graded(grade).style for grade in Grade}) == len(Grade)


def test_people_get_a_table_and_a_count(capsys: pytest.CaptureFixture[str]) -> None:
    """What comes from outside does not reach the terminal raw."""
    tell(LINES, Output())
    lines = capsys.readouterr().out.splitlines()
    assert lines[:3] == ["      what  found", "pass  a     x", "FAIL  bb    y: mend it"]
    assert "\x1b" not in lines[3]
    assert lines[-2:] == ["", "2 pass, 1 fail"]


def test_programs_get_an_object_a_line(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """In lower case, and no count."""
    tell(LINES[:2], Output(as_json=True))
    assert [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()] == [
        {"grade": "pass", "what": "a", "text": "x"},
        {"grade": "fail", "what": "bb", "text": "y: mend it"},
    ]


def test_a_count_goes_from_good_to_bad(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever the order they were found in; of nothing it says nothing."""
    count([Grade.FAIL, Grade.UNKNOWN, Grade.WARN, Grade.FAIL], Output(), "1 domain: ")
    count([], Output(), "no domain")
    assert capsys.readouterr().out == "1 domain: 1 warn, 1 unknown, 2 fail\nno domain\n"


def test_a_count_is_coloured_by_the_worst(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that is in the table; of nothing it is green."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm")):
        monkeypatch.setenv(name, value)
    count([Grade.PASS, Grade.FAIL, Grade.UNKNOWN], Output())
    count([], Output(), "none")
    assert capsys.readouterr().out.splitlines() == [
        "\x1b[1;31m1 pass, 1 unknown, 1 fail\x1b[0m",
        "\x1b[32mnone\x1b[0m",
    ]
