"""Transactions that get no verdict."""

import pytest

from mta.model.reply import Reply
from mta.smtp.extensions import Extensions
from mta.smtp.fact import Lost, Unsent
from mta.smtp.loss import broken, given_up
from mta.smtp.settings import Pattern
from mta.smtp.transaction import Position, State, Work, prepare
from tests.unit.smtp.dialogue import Dialogue

BYE = Reply(421, ("bye",))


def work(state: State, *, is_ahead: bool = False, is_blind: bool = False) -> Work:
    made = prepare(Dialogue(Pattern.A, 2).waiting[0], Extensions())
    assert isinstance(made, Work)
    made.state, made.is_ahead, made.is_blind = state, is_ahead, is_blind
    return made


@pytest.mark.parametrize("state", [State.NEW, State.BALKED, State.MAIL])
def test_not_tried(state: State) -> None:
    """Nothing written, balked at, or its MAIL unanswered by a peer that leaves: no attempt."""
    assert isinstance(broken(work(state), "x", None, 0.0, is_left=True), Unsent)


@pytest.mark.parametrize("state", [State.MAIL, State.RCPT, State.DATA, State.BODY, State.END])
def test_lost(state: State) -> None:
    """An attempt, and ambiguous only once the end of data is written, or was before the envelope's answer."""
    fact = broken(work(state), "x", None, 1.0, is_left=False)
    assert isinstance(fact, Lost)
    assert fact.ambiguous == (state is State.END)
    blind = broken(work(state, is_blind=True), "x", None, 1.0, is_left=True)
    assert isinstance(blind, Lost)
    assert blind.ambiguous


def test_ahead_is_never_tried() -> None:
    """An envelope behind the body of another counts only once it is answered."""
    assert isinstance(broken(work(State.MAIL, is_ahead=True), "x", None, 0.0, is_left=False), Unsent)


@pytest.mark.parametrize(
    ("position", "state", "has_served", "kind"),
    [
        (Position.RSET, State.NEW, False, Unsent),
        (Position.MAIL, State.MAIL, True, Unsent),
        (Position.MAIL, State.MAIL, False, Lost),
        (Position.RCPT, State.RCPT, True, Lost),
        (Position.END, State.END, True, Lost),
        (Position.RCPT, State.REFUSED, True, type(None)),
        (Position.DATA, State.GONE, True, type(None)),
    ],
)
def test_421(position: Position, state: State, has_served: bool, kind: type) -> None:
    """At the end of data it leaves a doubt; what had its verdict keeps it."""
    fact = given_up(position, work(state), BYE, 0.0, has_served=has_served)
    assert isinstance(fact, kind)
    if isinstance(fact, Lost):
        assert fact.reply is BYE
        assert fact.ambiguous == (position is Position.END)
