from collections import Counter
from io import StringIO

from rich.console import Console, RenderableType

from mta.demo import show
from mta.demo.policy import Received
from mta.demo.report import judge
from mta.demo.tally import Row
from tests.unit.demo.test_report import ASKED, clean


def shown(renderable: RenderableType) -> str:
    console = Console(file=StringIO(), width=80)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def test_progress() -> None:
    """Each destination has its line, uncut at 80 columns, and the rate is that of ended recipients."""
    text = shown(show.progress([Row("google", 123456, 654321, 12, 34, 5)], 1000, 500, 2.0))
    assert all(number in text for number in ("google", "123456", "654321", "12", "34"))
    assert "500 of 1000 recipients ended · 2.0 s · 250 a second" in text
    assert "…" not in text


def test_progress_before_the_first_moment() -> None:
    """No time has passed: no division by it."""
    assert "0 of 10" in shown(show.progress([], 10, 0, 0.0))


def test_message_as_received() -> None:
    """Envelope, headers and body as they came; markup and control sequences in them stay text."""
    received = Received(b"b+x@demo.test", (b"a@o.test",), b"Subject: [bold]x\r\n\r\nhello\r\n", 1)
    text = shown(show.as_received(received, verified=True))
    assert "RCPT TO:<a@o.test>" in text
    assert "Subject: [bold]x" in text
    assert "verified by dkimpy" in text
    assert "FAILED" in shown(show.as_received(received, verified=False))


def test_a_long_line_stays_one() -> None:
    """A signature that was checked over this very line must not look as if it had been folded here."""
    line = "X-Long: " + "word " * 40 + "end"
    received = Received(b"b+x@demo.test", (b"a@o.test",), line.encode() + b"\r\n\r\nhello\r\n", 1)
    console = Console(file=StringIO(), width=80)
    console.print(show.as_received(received, verified=True), soft_wrap=True)
    assert isinstance(console.file, StringIO)
    assert f"\n{line}\n" in console.file.getvalue()


def test_summary() -> None:
    """Good news in one line, each fault in its own."""
    good = judge(ASKED, clean(), Counter(["a@o.test", "b@o.test"]), [True], 1.0)
    assert "exactly one terminal event" in shown(show.summary(good, 1))
    bad = judge(ASKED, clean(), Counter(["a@o.test"]), [True], 1.0)
    text = shown(show.summary(bad, 1))
    assert "Wrong: 1 recipients reported as delivered" in text
    assert "exactly one terminal event" not in text


def test_failure_shows_log_and_advice() -> None:
    """What happened, the log, and what to do, brackets and all."""
    text = " ".join(shown(show.failure("The daemon ended", "last [line]")).split())
    assert "last [line]" in text
    assert "install it as it says there" in text
