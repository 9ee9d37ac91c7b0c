"""What binds a path, out of its counts and limits."""

import pytest
from msgspec.structs import replace

from mta.delivery.binding import Bind, Binding, Names, binding, said
from mta.model.outcome import Attempt, Stage
from mta.model.reply import Reply
from mta.queue.dispatch import PathLimits, PathLoad
from mta.queue.health import PathState
from mta.queue.settings import RateLimit

NOW = 100.0
RATE, CONNECTION_RATE = RateLimit(20, 60.0), RateLimit(100, 60.0)
NAMES = Names(RATE, CONNECTION_RATE, "provider", "source", "host", "connect: refused")
FREE = PathLimits(5, 0.0, 0.0, 0.0, 60.0)
BLOCKED = replace(FREE, connections=0, blocked_until=NOW + 30)


def found(load: PathLoad, limits: PathLimits = FREE, state: PathState = PathState.READY) -> Binding:
    return binding(load, limits, state, NAMES, NOW, may_send=True)


@pytest.mark.parametrize(
    ("load", "limits", "state", "expected"),
    [
        (PathLoad(open=1, busy=1), FREE, PathState.READY, Binding(Bind.NOTHING)),
        (
            PathLoad(waiting=9),
            BLOCKED,
            PathState.BACKED_OFF,
            Binding(Bind.BACKED_OFF, until=NOW + 30, reply="connect: refused"),
        ),
        (
            PathLoad(waiting=9, open=1),
            BLOCKED,
            PathState.SUSPENDED,
            Binding(Bind.SUSPENDED, until=NOW + 30, reply="connect: refused"),
        ),
        (
            PathLoad(ready=9, open=5, busy=5),
            replace(FREE, message_wait_s=0.5),
            PathState.READY,
            Binding(Bind.MESSAGE_RATE, "provider", RATE),
        ),
        (PathLoad(waiting=9, composing=3, open=1, room=1), FREE, PathState.READY, Binding(Bind.COMPOSING)),
        (
            PathLoad(ready=9, open=5, busy=5),
            FREE,
            PathState.READY,
            Binding(Bind.CONNECTIONS, "host", connections=5),
        ),
        (
            PathLoad(ready=9, open=2, busy=2),
            replace(FREE, connections=2),
            PathState.THROTTLED,
            Binding(Bind.THROTTLED, connections=2, reply="connect: refused"),
        ),
        (
            PathLoad(ready=9, open=1, busy=1),
            replace(FREE, connection_wait_s=2.0),
            PathState.READY,
            Binding(Bind.CONNECTION_RATE, "source", CONNECTION_RATE),
        ),
        (PathLoad(ready=9, open=1, busy=1), FREE, PathState.READY, Binding(Bind.PEER)),
        (
            PathLoad(ready=9, opening=1),
            FREE,
            PathState.READY,
            Binding(Bind.CONNECTING, reply="connect: refused"),
        ),
    ],
)
def test_what_holds_is_named(load: PathLoad, limits: PathLimits, state: PathState, expected: Binding) -> None:
    """One answer, with whose limit it is, what it comes to, until when and after which answer."""
    assert found(load, limits, state) == expected


def test_a_path_that_may_not_send_waits_for_nats() -> None:
    """Whatever else holds."""
    assert binding(PathLoad(waiting=1), BLOCKED, PathState.BACKED_OFF, NAMES, NOW, may_send=False) == Binding(
        Bind.NATS
    )


def test_a_suspension_without_an_end_names_no_time() -> None:
    """Nobody knows."""
    forever = replace(BLOCKED, blocked_until=float("inf"))
    assert found(PathLoad(waiting=1), forever, PathState.SUSPENDED).until == 0.0


def test_open_connections_go_on_while_it_is_backed_off() -> None:
    """Then it is not that which binds."""
    assert found(PathLoad(ready=1, open=1, busy=1), BLOCKED, PathState.BACKED_OFF).kind is Bind.CONNECTIONS


def test_what_was_said_is_the_reply_or_what_happened() -> None:
    attempt = Attempt(1, 0.0, Stage.RCPT, Reply(421, ("4.7.0 too many",)))
    assert said(attempt) == "rcpt: 421 4.7.0 too many"
    assert said(replace(attempt, reply=None, detail="timed out")) == "rcpt: timed out"
