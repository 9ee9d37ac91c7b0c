import io
import json
import logging
import os
import pty
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog

from mta.log import LineWriter, Log, configure, escaped, without_local_parts

Lines = Callable[[], list[dict[str, Any]]]


class Pipe:
    """A stderr whose lines a test can read."""

    def __init__(self) -> None:
        self.reader, writer = os.pipe()
        self.stream = os.fdopen(writer, "w")
        self.log: Log | None = None

    def start(self, **options: Any) -> Log:
        self.log = configure("n1", stream=self.stream, **options)
        return self.log

    def raw(self) -> bytes:
        assert self.log is not None
        assert self.log.flush()
        return os.read(self.reader, 1 << 16)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.raw().splitlines()]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    if made.log is not None:
        made.log.close()
    made.stream.close()
    os.close(made.reader)


def test_a_line_is_one_json_object_with_the_agreed_keys(pipe: Pipe) -> None:
    """ts, level, event, node first; then what the caller gave."""
    pipe.start()
    structlog.get_logger().info("delivered", tenant="acme", code=250, ms=12)
    (line,) = pipe.lines()
    assert list(line) == ["ts", "level", "event", "node", "tenant", "code", "ms"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", line["ts"])
    assert (line["level"], line["event"], line["node"], line["ms"]) == ("info", "delivered", "n1", 12)


def test_what_is_below_the_level_is_not_written(pipe: Pipe) -> None:
    """Debug only where it was asked for."""
    pipe.start(level="warning")
    log = structlog.get_logger()
    log.info("no")
    log.warning("yes")
    assert [line["event"] for line in pipe.lines()] == ["yes"]


@pytest.mark.parametrize(
    "evil",
    ["a\nb", "a\rb", "\x1b[2Jx", "\x9b2J", "\u202egnp", "\u2028x", "\u2029x", "\x7f", "\u200b", "\x00"],
)
def test_no_character_forges_or_hides_a_line(pipe: Pipe, evil: str) -> None:
    """The bytes on stderr are harmless, the value in the JSON is the one that was given."""
    pipe.start()
    structlog.get_logger().info("reply", text=evil, **{"key": [evil]})
    raw = pipe.raw()
    assert raw.count(b"\n") == 1
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u202e]", raw.decode())
    assert json.loads(raw)["text"] == evil


@pytest.mark.parametrize("evil", ["\ud800", b"\xff\x00", {"a": object()}, float("nan"), 1 << 70, {1: 2}])
def test_a_strange_value_never_loses_the_line(pipe: Pipe, evil: Any) -> None:
    """Whatever it is, the event is told."""
    pipe.start()
    structlog.get_logger().info("reply", value=evil)
    (line,) = pipe.lines()
    assert line["event"] == "reply"


def test_a_huge_value_is_cut(pipe: Pipe) -> None:
    """A peer's 30 kB reply is no log line."""
    pipe.start()
    structlog.get_logger().info("reply", text="x" * 100_000, code=5)
    (line,) = pipe.lines()
    assert line["text"] == "x" * 1000 + "…"
    assert line["code"] == 5


def test_recipients_lose_their_local_part(pipe: Pipe) -> None:
    """In fields, in what a peer said, in nested values; our own ids keep theirs."""
    pipe.start()
    structlog.get_logger().info(
        "to bob@example.test",
        recipient="bob@example.test",
        text="550 <bob.o'x+y@[192.0.2.1]>: no such user",
        more={"a": ["zoe@example.test"]},
        rfc_message_id="<1234@mta.test>",
    )
    raw = pipe.raw()
    for name in (b"bob", b"zoe"):
        assert name not in raw
    line = json.loads(raw)
    assert line["recipient"] == "***@example.test"
    assert line["rfc_message_id"] == "<1234@mta.test>"


def test_recipients_are_shown_where_that_is_wanted(pipe: Pipe) -> None:
    """The operator's choice."""
    pipe.start(show_recipients=True)
    structlog.get_logger().info("delivered", recipient="bob@example.test")
    assert pipe.lines()[0]["recipient"] == "bob@example.test"


def test_an_exception_comes_with_its_traceback_on_one_line(pipe: Pipe) -> None:
    """Also without addresses."""
    pipe.start()
    try:
        raise ValueError("for bob@example.test")
    except ValueError:
        structlog.get_logger().exception("broke")
    (line,) = pipe.lines()
    assert line["level"] == "error"
    assert "ValueError: for ***@example.test" in line["exception"]
    assert "Traceback" in line["exception"]


def test_the_standard_library_logs_the_same_way(pipe: Pipe) -> None:
    """asyncio and the NATS client speak through it, from warnings on."""
    pipe.start()
    logging.getLogger("nats").info("chatter")
    logging.getLogger("nats").warning("lost %s", "it")
    (line,) = pipe.lines()
    assert (line["level"], line["event"], line["logger"]) == ("warning", "lost it", "nats")


def test_a_closed_stderr_stops_nobody() -> None:
    """Lines are counted as dropped, callers do not notice."""
    reader, writer = os.pipe()
    os.close(reader)
    lines = LineWriter(writer)
    lines.write(b"one\n")
    lines.write(b"two\n")
    assert lines.flush()
    lines.close()
    assert lines.dropped == 2
    os.close(writer)


def test_a_reader_that_does_not_read_stops_nobody() -> None:
    """The buffer is bounded; what was kept arrives whole once somebody reads."""
    reader, writer = os.pipe()
    lines = LineWriter(writer, most_lines=3)
    line = b"x" * 99_999 + b"\n"  # more than a pipe holds
    for _ in range(10):
        lines.write(line)
    assert lines.dropped >= 5
    kept = 10 - lines.dropped
    got = 0
    while got < kept * len(line):
        got += len(os.read(reader, 1 << 20))
    assert lines.flush()
    assert got == kept * len(line)
    lines.close()
    os.close(reader)
    os.close(writer)


def test_a_terminal_gets_text_for_people() -> None:
    """Coloured, one line an event, control characters escaped."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w") as stream:
        log = configure("n1", stream=stream)
        structlog.get_logger().warning("queue full", tenant="ac\x1b[2Jme", size=3)
        assert log.flush()
        raw = os.read(master, 4096)
        log.close()
    os.close(master)
    assert raw.count(b"\n") == 1
    plain = re.sub(rb"\x1b\[[0-9;]*m", b"", raw).decode()
    assert "warning" in plain
    assert "queue full" in plain
    assert "tenant=ac\\x1b[2Jme" in plain
    assert "size=3" in plain


def test_closing_gives_the_standard_library_back() -> None:
    """No handler of ours stays behind."""
    before = list(logging.getLogger().handlers)
    with open(os.devnull, "w") as stream:
        log = configure("n1", stream=stream)
        assert len(logging.getLogger().handlers) == len(before) + 1
        log.close()
    assert logging.getLogger().handlers == before


def test_escapes_are_readable() -> None:
    """As Python would write them."""
    assert escaped("a\x1b\u202eb") == "a\\x1b\\u202eb"
    assert escaped("grün") == "grün"


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("bob@example.test", "***@example.test"),
        ("<bob@example.test>,<eve@other.test>", "<***@example.test>,<***@other.test>"),
        ('<"bob x"@example.test>', "<***@example.test>"),
        ("to:bob@[192.0.2.1]", "to:***@[192.0.2.1]"),
        ("@home", "@home"),
        ("a @ b", "a @ b"),
        ("nothing", "nothing"),
    ],
)
def test_local_parts_are_found_where_they_stand(text: str, want: str) -> None:
    """The domain stays: it tells where it hurts."""
    assert without_local_parts(text) == want


def test_a_stream_without_descriptor_is_refused() -> None:
    """Said at start, not with the first line."""
    with pytest.raises(io.UnsupportedOperation):
        configure("n1", stream=io.StringIO())
