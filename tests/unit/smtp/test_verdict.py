"""Verdicts that wait for the rest of their flight."""

import pytest

from mta.model.outcome import Stage
from mta.model.reply import Reply
from mta.smtp.extensions import Extensions
from mta.smtp.fact import Accepted, Lost, Refused, Transaction
from mta.smtp.transaction import Work, prepare
from mta.smtp.verdict import Verdicts
from tests.unit.smtp.dialogue import Dialogue
from tests.unit.smtp.dialogue import Pattern as P


def held(*, is_blind: bool = False) -> tuple[Verdicts, list[Accepted | Refused]]:
    """One accepted, one refused at its content, one refused at RCPT."""
    transactions = Dialogue(P.A, 4).waiting
    facts: list[Accepted | Refused] = [
        Accepted(transactions[0], Reply(250), 0.1),
        Refused(transactions[1], Stage.END_OF_DATA, ".", Reply(550), 0.2),
        Refused(transactions[2], Stage.RCPT, "RCPT", Reply(550), 0.3),
    ]
    verdicts = Verdicts()
    for fact in facts:
        work = prepared(fact.transaction)
        work.is_blind = is_blind
        verdicts.add(work, fact)
    return verdicts, facts


def prepared(transaction: Transaction) -> Work:
    work = prepare(transaction, Extensions())
    assert isinstance(work, Work)
    return work


def test_they_stand() -> None:
    """Released whole, in order, once."""
    verdicts, facts = held()
    assert verdicts
    assert verdicts.stand() == facts
    assert not verdicts
    assert verdicts.stand() == []


def test_content_may_go_first() -> None:
    """Verdicts on content are let go alone, and the clock that runs for them stops."""
    verdicts, facts = held()
    verdicts.go_on(P.C, 5.0)
    verdicts.go_on(P.C, 6.0)
    assert verdicts.since == 5.0
    assert verdicts.stand_in_time() == facts[:2]
    assert verdicts.since is None
    verdicts.go_on(P.C, 7.0)
    assert verdicts.since is None
    assert verdicts.stand() == facts[2:]


def test_a_flight_proves_those_before_it() -> None:
    """Aged once they wait, and told when the next flight ages; the clock starts anew with each."""
    verdicts, facts = held()
    assert verdicts.age(5.0) == []
    assert verdicts
    assert verdicts.since == 5.0
    assert verdicts.age(6.0) == facts
    assert verdicts.since is None
    assert not verdicts


def test_a_flight_that_proves_nothing() -> None:
    """Kept with those before it, and the clock of the first runs on."""
    verdicts, facts = held()
    verdicts.keep(5.0)
    more, (extra, *_) = held()
    verdicts.add(more._fresh[0][0], extra)
    verdicts.keep(6.0)
    assert verdicts.since == 5.0
    assert verdicts.stand_in_time() == [*facts, extra]


def test_only_the_complete_ones() -> None:
    """Those with replies of their own still to come are kept, and of the others the last."""
    verdicts, facts = held()
    verdicts._fresh[0][0].pending = 1
    assert verdicts.stand_but_last(5.0) == facts[1:2]
    assert verdicts.since == 5.0
    assert verdicts.stand_but_last(6.0) == []
    assert verdicts.since == 5.0
    verdicts._fresh[0][0].pending = 0
    assert verdicts.stand_but_last(7.0) == facts[2:]
    assert verdicts.stand() == facts[:1]


@pytest.mark.parametrize("is_aged", [False, True])
def test_they_fall(is_aged: bool) -> None:
    """What can not be trusted is ambiguous where the end of data had been written."""
    for is_blind in (False, True):
        verdicts, _ = held(is_blind=is_blind)
        if is_aged:
            verdicts.keep(5.0)
        lost = verdicts.fall("stray")
        assert all(isinstance(fact, Lost) and fact.detail == "stray" and fact.reply is None for fact in lost)
        doubts = [fact.ambiguous for fact in lost if isinstance(fact, Lost)]
        assert doubts == [True, True, is_blind]
        assert not verdicts
        assert verdicts.since is None
