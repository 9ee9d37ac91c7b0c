"""What nodes answer is read with care: it may be of another version, or of no node at all."""

from typing import Any

import msgspec
import pytest

from mta.admin.view import HandRow, HandView, NodeView, PathRow, read
from mta.delivery.binding import Bind, Binding
from mta.jetstream.errors import JetStreamError
from mta.queue.settings import RateLimit

BINDING = Binding(Bind.MESSAGE_RATE, rate=RateLimit(10.0, 1.0), connections=2, until=1e9)
ROW = HandRow("bulk", "acme", "c", "other", waiting=3, oldest=1e9)
VIEW = HandView("n1", 1e9, (ROW,), (), (7,), (PathRow("one", "d.test", "other", 3, 1, BINDING),))


def changed(**fields: Any) -> bytes:
    return msgspec.json.encode(msgspec.to_builtins(VIEW) | fields)


def bound(**fields: Any) -> bytes:
    binding = msgspec.to_builtins(BINDING) | fields
    return changed(paths=[["one", "d.test", "other", 3, 1, binding]])


def test_what_was_said_is_read() -> None:
    """As it was."""
    assert read(HandView, changed(), "n1") == VIEW


@pytest.mark.parametrize(
    "body",
    [
        changed(at=1e300),
        changed(due=[-1]),
        changed(rows=[["bulk", "acme", "c", "other", -1]]),
        changed(rows=[["bulk", "acme", "c", "other", 0, 0, 0, 0, 0, -0.5]]),
        bound(until=1e300),
        bound(until=-1.0),
        bound(connections=-1),
        bound(rate={"count": 10, "period_s": 0}),
        bound(rate={"count": -1, "period_s": 1}),
    ],
)
def test_times_and_counts_that_cannot_be_are_no_answer(body: bytes) -> None:
    """Whoever shows them would end with a traceback."""
    with pytest.raises(JetStreamError, match="n1"):
        read(HandView, body, "n1")


@pytest.mark.parametrize("field", ["started", "payloads", "rate", "limits"])
def test_nothing_that_a_node_says_of_itself_is_below_zero(field: str) -> None:
    """None of it can be."""
    whole = msgspec.to_builtins(NodeView("n1", "1", 1e9, 3, 0.5, 2))
    with pytest.raises(JetStreamError, match="n1"):
        read(NodeView, msgspec.json.encode(whole | {field: -1}), "n1")
