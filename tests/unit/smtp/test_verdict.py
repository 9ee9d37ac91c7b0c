"""Verdicts that wait for the rest of their flight."""

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
    verdicts.hold_over(5.0)
    verdicts.hold_over(6.0)
    assert verdicts.content_since == 5.0
    assert verdicts.stand_on_content() == facts[:2]
    assert verdicts.content_since is None
    verdicts.hold_over(7.0)
    assert verdicts.content_since is None
    assert verdicts.stand() == facts[2:]


def test_only_the_complete_ones() -> None:
    """Those with replies of their own still to come are kept."""
    verdicts, facts = held()
    verdicts._held[0][0].pending = 1
    assert verdicts.stand_if_complete() == facts[1:]
    assert verdicts.stand() == facts[:1]


def test_they_fall() -> None:
    """What can not be trusted is ambiguous where the end of data had been written."""
    for is_blind in (False, True):
        verdicts, _ = held(is_blind=is_blind)
        lost = verdicts.fall("stray")
        assert all(isinstance(fact, Lost) and fact.detail == "stray" and fact.reply is None for fact in lost)
        doubts = [fact.ambiguous for fact in lost if isinstance(fact, Lost)]
        assert doubts == [True, True, is_blind]
        assert not verdicts
