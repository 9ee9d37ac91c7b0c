import pytest

from mta.admin.output import Output, Table, cell, many


def test_json_has_stdout_to_itself(capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """What is for people goes nowhere or to stderr."""
    output = Output(as_json=True)
    output.say("hello")
    output.show(Table("a"))
    output.note("careful")
    output.result({"a": 1})
    captured = capsysbinary.readouterr()
    assert captured.out == b'{"a":1}\n'
    assert captured.err == b"careful\n"


def test_people_get_text_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    """And what looks like markup stays text."""
    output = Output()
    output.say("[red]x\x1b[2J")
    output.result({"a": 1})
    shown = Table("a")
    shown.add_row(cell("[b]\u202e"))
    output.show(shown)
    assert capsys.readouterr().out == "[red]x\\x1b[2J\na\n[b]\\u202e\n"


def test_numbers_are_spoken() -> None:
    """One is one."""
    assert many(1, "payload") == "1 payload"
    assert many(0, "payload") == "0 payloads"
    assert many(12345, "row") == "12,345 rows"


LONG = "/var/lib/a-long-name/and-so-on is a place"


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        (0, ["what  found", f"x     {LONG}", "yy"]),
        (36, ["what  found", "x     /var/lib/a-long-name/and-so-on", "      is a place", "yy"]),
        (10, ["what  found", "x     /var/lib/a-long-name/and-so-on", "      is a place", "yy"]),
    ],
)
def test_a_table_breaks_no_word(width: int, lines: list[str]) -> None:
    """And no line that goes into a file."""
    made = Table("what", "found")
    made.add_row(cell("x", "red"), cell(LONG))
    made.add_row(cell("yy"), cell(""))
    assert [line.plain for line in made.lines(width)] == lines


def test_a_line_stands_under_its_row() -> None:
    """Over all columns, as deep as it was asked for, broken between words."""
    made = Table("what", "found")
    made.add_line(cell("heading"))
    made.add_row(cell("x"), cell("y"))
    made.add_line(cell("because of one thing and because of another one"), 2)
    assert [line.plain for line in made.lines(40)] == [
        "what  found",
        "heading",
        "x     y",
        "  because of one thing and because of",
        "  another one",
    ]


NARROW = ("address", "source", "since", "until")


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (0, ["address           source    since  until", "bob@example.test  jane@mx1  today  never"]),
        (40, ["address           source    since  until", "bob@example.test  jane@mx1  today  never"]),
        (39, ["address           since  until", "bob@example.test  today  never"]),
        (29, ["address           until", "bob@example.test  never"]),
        (20, ["address        until", "bob@example.test", "               never"]),
        (1, ["address     until", "bob@example.test", "            never"]),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns(width: int, shown: list[str]) -> None:
    """Those that may be missing, in order; what is left is never cut, but may stand on a line of its own."""
    made = Table(*NARROW, spare=("source", "since"))
    made.add_row(cell("bob@example.test"), cell("jane@mx1"), cell("today"), cell("never"))
    assert [line.plain.rstrip() for line in made.lines(width)] == shown


def test_the_last_column_keeps_room_for_sentences() -> None:
    """It is wrapped, and columns are left out for it, but no more of them than it needs."""
    made = Table("name", "when", "said", spare=("when",))
    made.add_row(cell("a" * 20), cell("2026-11-26"), cell("one two three " * 5))
    assert [max(len(line.plain) for line in made.lines(width)) <= width for width in (64, 63, 52)] == [
        True
    ] * 3
    assert "when" in next(made.lines(64)).plain
    assert "when" not in next(made.lines(63)).plain
