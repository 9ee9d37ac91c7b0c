from typing import Any

from mta.delivery.dry_run import Rehearsal
from mta.delivery.reference import Reference, Settlement
from mta.model.lane import Lane
from mta.model.outcome import Cancelled
from mta.queue.settings import Fairness
from tests.unit.delivery.refs import envelope, ref


class Kept:
    def __init__(self) -> None:
        self.settled: list[tuple[Reference[Any], Settlement]] = []
        self.hungry = 0
        self.rehearsal = Rehearsal(
            fair=Fairness(),
            wall=lambda: 7.0,
            on_settled=self._on_settled,
            on_hungry=self._on_hungry,
        )

    def _on_settled(self, one: Reference[Any], settlement: Settlement) -> None:
        self.settled.append((one, settlement))

    def _on_hungry(self, rehearsal: Rehearsal) -> None:
        self.hungry += 1


def test_what_was_composed_is_cancelled() -> None:
    """Once, with the mark of a rehearsal, and only after composing."""
    kept = Kept()
    one = ref()
    kept.rehearsal.put(one)
    kept.rehearsal.turn()
    assert kept.hungry == 1
    assert (kept.rehearsal.wants(Lane.BULK), kept.rehearsal.wants(Lane.TRANSACTIONAL)) == (1, 0)
    assert kept.rehearsal.take_to_compose(10, Lane.BULK) == [one]
    assert not kept.settled
    kept.rehearsal.composed(one, envelope(one))
    kept.rehearsal.composed(one, envelope(one))
    assert kept.settled == [(one, Cancelled(7.0, "dry_run", is_dry_run=True))]


def test_what_failed_or_expired_is_left_to_others() -> None:
    """A reference without a message, or settled elsewhere, is not settled here."""
    kept = Kept()
    failed, expired = ref(), ref()
    expired.is_settled = True
    kept.rehearsal.put(failed)
    kept.rehearsal.put(expired)
    assert kept.rehearsal.take_to_compose(10, Lane.BULK) == [failed]
    kept.rehearsal.composed(failed, None)
    kept.rehearsal.composed(expired, envelope(expired))
    assert not kept.settled
