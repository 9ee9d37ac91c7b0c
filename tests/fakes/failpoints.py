"""`python -m tests.fakes.failpoints POINT run --config FILE`: the daemon, killed -9 the first time it gets to a point.

The seams are wrapped here and only here; the daemon knows nothing of it.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from mta.cli import main
from mta.delivery.email import EmailChannel
from mta.delivery.pool import PathPool
from mta.events.publisher import EventPublisher
from mta.flow.life import Flow
from mta.flow.telling import Telling
from mta.flow.work import Owed, Work
from mta.jetstream.connection import Link
from mta.ledger.page import Page
from mta.ledger.state import RecipientState
from mta.smtp.connection import Connection
from mta.smtp.fact import Accepted
from mta.suppression.strikes import Strikes
from mta.suppression.suppressions import Suppressions


def die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def before(owner: type, name: str, condition: Callable[..., bool] = lambda *_: True) -> None:
    usual = getattr(owner, name)

    def wrapped(self: Any, *args: Any, **more: Any) -> Any:
        if condition(self, *args):
            die()
        return usual(self, *args, **more)

    setattr(owner, name, wrapped)


def after(owner: type, name: str, condition: Callable[..., bool] = lambda *_: True) -> None:
    usual = getattr(owner, name)

    def wrapped(self: Any, *args: Any, **more: Any) -> Any:
        result = usual(self, *args, **more)
        if condition(self, *args):
            die()
        return result

    setattr(owner, name, wrapped)


def after_async(owner: type, name: str) -> None:
    usual = getattr(owner, name)

    async def wrapped(self: Any, *args: Any, **more: Any) -> None:
        await usual(self, *args, **more)
        die()

    setattr(owner, name, wrapped)


def after_ack() -> None:
    usual = Link.ack_sync

    async def wrapped(self: Link, reply: str, **more: Any) -> None:
        await usual(self, reply, **more)
        die()

    Link.ack_sync = wrapped  # type: ignore[method-assign]


def after_dot() -> None:
    """Permitted, and whatever the permit was for is written."""
    permitted = False
    usual = Work.permit

    def permit(self: Work, position: int) -> bool:
        nonlocal permitted
        permitted = usual(self, position)
        return permitted

    Work.permit = permit  # type: ignore[method-assign]
    after(Connection, "_flush", lambda *_: permitted)


def is_delivered(_: Page, position: int, state: RecipientState, *__: object) -> bool:
    return state is RecipientState.DELIVERED


def is_of_recipient(token: object) -> bool:
    return isinstance(token, Owed) and token.position is not None


POINTS: dict[str, Callable[[], None]] = {
    "after_fetch": lambda: before(Flow, "on_message"),
    "after_render": lambda: before(EmailChannel, "_composed"),
    "before_dot": lambda: before(Work, "permit"),
    "after_dot": after_dot,
    "after_250_read": lambda: before(PathPool, "_on_fact", lambda _, __, fact: type(fact) is Accepted),
    "after_ledger": lambda: after(Page, "settle", is_delivered),
    "after_told": lambda: after(Telling, "flush", lambda telling: telling.publisher.unkept_bytes > 0),
    "after_event_kept": lambda: before(Flow, "on_kept", lambda _, tokens: any(map(is_of_recipient, tokens))),
    "after_emit": lambda: after(EventPublisher, "emit"),
    "after_ack": after_ack,
}

MARKING: dict[str, Callable[[], None]] = {
    "before_mark": lambda: before(Suppressions, "add"),
    "after_strike": lambda: after_async(Strikes, "strike"),
    "after_mark": lambda: after_async(Suppressions, "add"),
}
"""On the way from an event to a mark."""

if __name__ == "__main__":
    (POINTS | MARKING)[sys.argv.pop(1)]()
    main()
