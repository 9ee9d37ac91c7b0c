"""On a loop whose clock is the test's: `advance` runs what is due."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mta.events.publisher import EventPublisher
from mta.events.settings import EventSettings
from tests.fakes.pump import FakePump

SETTINGS = EventSettings()


class ManualLoop(asyncio.SelectorEventLoop):
    """A loop that never waits: its time moves only by `advance`."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now


class Bench:
    """A publisher on a fake pump, with a clock in the test's hand."""

    def __init__(self, settings: EventSettings = SETTINGS) -> None:
        self.pump = FakePump()
        self.kept: list[object] = []
        self.publisher = EventPublisher(self.pump, settings, self.kept.extend)
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ManualLoop)
        self.loop = loop

    async def advance(self, seconds: float) -> None:
        self.loop.now += seconds
        for _ in range(3):
            await asyncio.sleep(0)

    def lines(self) -> list[bytes]:
        return [line for message in self.pump.stored for line in message.body.splitlines()]


def run(story: Callable[[Bench], Any], settings: EventSettings = SETTINGS) -> None:
    async def told() -> None:
        bench = Bench(settings)
        await story(bench)
        bench.publisher.close()

    with asyncio.Runner(loop_factory=ManualLoop) as runner:
        runner.run(told())


def test_lines_of_a_subject_are_one_message_after_the_flush_time() -> None:
    """NDJSON with its count in a header, tokens after the ack and not before."""

    async def story(bench: Bench) -> None:
        for number in range(3):
            bench.publisher.emit("a", b'{"n":%d}' % number, number)
        bench.publisher.emit("b", b"{}", None)
        await bench.advance(0.04)
        assert not bench.pump.waiting
        await bench.advance(0.02)
        first, second = bench.pump.waiting
        assert first.body == b'{"n":0}\n{"n":1}\n{"n":2}\n'
        assert first.headers == {"Mta-Events": "3"}
        assert second.body == b"{}\n"
        assert bench.publisher.unkept_bytes == 23
        assert not bench.kept
        bench.pump.ack()
        assert bench.kept == [0, 1, 2]
        bench.pump.ack()
        assert bench.publisher.unkept_bytes == 0

    run(story)


def test_a_full_batch_does_not_wait() -> None:
    """256 kB are published at once."""

    async def story(bench: Bench) -> None:
        bench.publisher.emit("a", b"x" * 255_000, None)
        assert not bench.pump.waiting
        bench.publisher.emit("a", b"x" * 1_000, None)
        assert len(bench.pump.waiting) == 1

    run(story)


def test_one_publish_in_flight_per_subject() -> None:
    """What comes meanwhile makes the next batch larger, and goes when the first has landed."""

    async def story(bench: Bench) -> None:
        bench.publisher.emit("a", b"1", 1)
        await bench.advance(0.06)
        for number in (2, 3):
            bench.publisher.emit("a", b"%d" % number, number)
            await bench.advance(0.06)
        assert len(bench.pump.waiting) == 1
        bench.pump.ack()
        assert [message.body for message in bench.pump.waiting] == [b"2\n3\n"]
        bench.pump.ack()
        assert bench.kept == [1, 2, 3]

    run(story)


def test_a_batch_that_waited_stays_below_the_cap() -> None:
    """The rest is the next one, at once and in order."""

    async def story(bench: Bench) -> None:
        bench.publisher.emit("a", b"first", None)
        await bench.advance(0.06)
        for number in range(25):
            bench.publisher.emit("a", b"%02d" % number * 50_000, number)
        while bench.pump.waiting:
            assert len(bench.pump.waiting) == 1
            assert len(bench.pump.waiting[0].body) <= 1_200_000
            bench.pump.ack()
        assert bench.kept == list(range(25))
        assert len(bench.pump.stored) == 4

    run(story)


def test_sixteen_in_flight_and_the_oldest_first() -> None:
    """A free place goes to the subject that has waited longest, a full one included."""

    async def story(bench: Bench) -> None:
        for number in range(20):
            bench.publisher.emit(f"s{number}", b"x", number)
            await bench.advance(0.001)
        await bench.advance(0.06)
        assert [message.subject for message in bench.pump.waiting] == [f"s{n}" for n in range(16)]
        bench.pump.ack(3)
        bench.pump.ack(7)
        assert [message.subject for message in bench.pump.waiting[-2:]] == ["s16", "s17"]
        assert len(bench.pump.waiting) == 16

    run(story)


def test_a_refused_batch_is_published_again_unchanged() -> None:
    """Same bytes, same id, after a rest; later lines of the subject stay behind it."""

    async def story(bench: Bench) -> None:
        bench.publisher.emit("a", b"1", 1)
        await bench.advance(0.06)
        first = bench.pump.waiting[0]
        bench.publisher.emit("a", b"2", 2)
        bench.pump.refuse(is_stored=True)
        assert not bench.pump.waiting
        assert not bench.kept
        assert bench.publisher.unkept_bytes == 2
        await bench.advance(0.06)
        again = bench.pump.waiting[0]
        assert (again.body, again.msg_id) == (first.body, first.msg_id)
        bench.pump.ack()
        assert bench.kept == [1]
        await bench.advance(0.06)
        bench.pump.ack()
        assert bench.kept == [1, 2]
        assert bench.lines() == [b"1", b"2"]

    run(story)


def test_a_full_pump_only_delays() -> None:
    """BufferError is a refusal like any other."""

    async def story(bench: Bench) -> None:
        bench.pump.is_full = True
        bench.publisher.emit("a", b"1", 1)
        await bench.advance(0.06)
        assert bench.publisher.unkept_bytes == 1
        bench.pump.is_full = False
        await bench.advance(0.06)
        bench.pump.ack()
        assert bench.kept == [1]

    run(story)


def test_ids_differ_with_subject_and_lines() -> None:
    """An id that stood for other lines would make the stream swallow them."""

    async def story(bench: Bench) -> None:
        for subject, lines in (("a", b"xyz"), ("b", b"xyz"), ("c", b"xz"), ("d", b"xqz")):
            for line in lines:
                bench.publisher.emit(subject, bytes([line]), None)
        await bench.advance(0.06)
        assert len({message.msg_id for message in bench.pump.waiting}) == 4

    run(story)


def test_flush_publishes_now_and_returns_when_all_is_kept() -> None:
    """What is emitted during a flush goes at once, too."""

    async def story(bench: Bench) -> None:
        bench.publisher.emit("a", b"1", 1)
        flush = asyncio.ensure_future(bench.publisher.flush())
        await bench.advance(0)
        assert [message.subject for message in bench.pump.waiting] == ["a"]
        bench.publisher.emit("b", b"2", 2)
        await bench.advance(0)
        bench.pump.ack()
        await bench.advance(0)
        assert not flush.done()
        bench.pump.ack()
        await flush
        assert bench.kept == [1, 2]
        await bench.publisher.flush()

    run(story)


def test_a_pump_that_answers_at_once() -> None:
    """The answer may come before `publish` returns."""

    async def story(bench: Bench) -> None:
        bench.pump.is_prompt = True
        for number in range(100):
            bench.publisher.emit(f"s{number % 40}", b"x", number)
        await bench.publisher.flush()
        assert sorted(bench.kept, key=str) == sorted(range(100), key=str)

    run(story)


def test_a_closed_publisher_is_silent() -> None:
    """No timer of it rings any more."""

    async def story(bench: Bench) -> None:
        bench.publisher.emit("a", b"1", 1)
        bench.publisher.close()
        await bench.advance(1)
        assert not bench.pump.published

    run(story)


STEPS = st.lists(
    st.tuples(st.sampled_from(["emit", "ack", "refuse", "advance", "full"]), st.integers(0, 5)), max_size=60
)


@settings(max_examples=60, deadline=None)
@given(STEPS)
@example([("emit", 0), *[("advance", 0), ("advance", 0), ("refuse", 0)] * 2])
def test_every_line_is_kept_once_and_in_order(steps: list[tuple[str, int]]) -> None:
    """Whatever the pump does: nothing lost, nothing twice, lines of a subject in order, never more in flight than
    allowed."""

    async def story(bench: Bench) -> None:
        emitted: list[bytes] = []
        for action, number in steps:
            bench.pump.is_full = action == "full"
            if action == "emit":
                emitted.append(b"s%d:%d" % (number, len(emitted)))
                bench.publisher.emit(f"s{number}", emitted[-1], emitted[-1])
            elif action == "ack" and number < len(bench.pump.waiting):
                bench.pump.ack(number)
            elif action == "refuse" and number < len(bench.pump.waiting):
                bench.pump.refuse(number, is_stored=number % 2 == 0)
            await bench.advance(0.03 if action in ("advance", "full") else 0)
            assert len(bench.pump.waiting) <= 2
            subjects = [message.subject for message in bench.pump.waiting]
            assert len(set(subjects)) == len(subjects)
        bench.pump.is_full = False
        bench.pump.is_prompt = True
        while bench.pump.waiting:
            bench.pump.ack()
        for _ in range(20):
            await bench.advance(2.1)
        assert bench.publisher.unkept_bytes == 0
        assert sorted(bench.kept) == sorted(emitted)  # type: ignore[type-var]
        for subject in {message.subject for message in bench.pump.stored}:
            mine = [line for line in bench.lines() if line.startswith(subject.encode() + b":")]
            assert mine == [line for line in emitted if line.startswith(subject.encode() + b":")]

    run(story, msgspec.structs.replace(SETTINGS, max_in_flight=2))


def test_what_is_dropped_is_published_no_more() -> None:
    """Waiting or on its way: the others of its batch go out, perhaps again, and their tokens are kept."""

    async def story(bench: Bench) -> None:
        for token in ("mine", "lost", "mine too"):
            bench.publisher.emit("a", token.encode(), token)
        bench.publisher.emit("b", b"only", "lost")
        await bench.advance(0.06)
        assert len(bench.pump.waiting) == 2
        bench.publisher.emit("a", b"later", "lost")
        bench.publisher.drop(lambda token: token == "lost")
        await bench.advance(0.06)
        (message,) = bench.pump.waiting
        assert message.body == b"mine\nmine too\n"
        assert bench.publisher.unkept_bytes == len(b"minemine too")
        bench.pump.ack()
        assert bench.kept == ["mine", "mine too"]
        assert bench.publisher.unkept_bytes == 0
        await bench.publisher.flush()

    run(story)


def test_dropping_what_is_not_there_changes_nothing() -> None:
    """A batch under way stays the one it is."""

    async def story(bench: Bench) -> None:
        bench.publisher.emit("a", b"line", "mine")
        await bench.advance(0.06)
        (before,) = bench.pump.waiting
        bench.publisher.drop(lambda token: token == "lost")
        assert bench.pump.waiting == [before]

    run(story)
