from typing import Self

from mta.delivery.reference import Parked
from mta.flow.ending import EARLY, PAUSED, ending_of, suppressed_of
from mta.flow.work import Work
from mta.intake.orders import Order, Orders, OrderVerb, Target, encode_order, order_key
from mta.model.lane import Lane
from mta.model.outcome import Cancelled, Expired, Failed, Suppressed
from mta.model.suppression import SuppressReason
from tests.unit.flow.works import reference, work

NOW = 1_795_000_000.0


def given(*orders: tuple[OrderVerb, Target, float]) -> Orders:
    found = Orders()
    for verb, target, until in orders:
        found.apply(order_key(verb, target), encode_order(Order("wrong price", "ops", NOW, until)))
    return found


def ending(one: Work, orders: Orders, now: float, jitter: float = 0.0, ahead_s: float = 0.0) -> object:
    of = ending_of(one, orders, now, jitter, ahead_s)
    return None if of is None else of(reference(one, 0))


class Listed:
    """Everybody in `reasons` is on the list; remembers what was asked for."""

    def __init__(self, **reasons: SuppressReason) -> None:
        self.reasons = reasons
        self.asked: list[object] = []

    def scope(self, *names: object, skips: bool) -> Self | None:
        self.asked.append((*names, skips))
        return self if self.reasons else None

    def reason(self, address: str, domain: str, now: float) -> SuppressReason | None:
        assert address.endswith(f"@{domain}")
        return self.reasons.get(address.partition("@")[0])


def test_who_is_on_the_list_is_suppressed_and_nobody_else() -> None:
    """By tenant, stream and lane of the payload, and whether it may skip."""
    one = work(stream="receipts")
    listed = Listed(r1=SuppressReason.MANUAL)
    of = suppressed_of(one, listed, NOW)  # type: ignore[arg-type]
    assert of is not None
    ends = [of(reference(one, position)) for position in range(3)]
    assert ends == [None, Suppressed(NOW, SuppressReason.MANUAL), None]
    assert listed.asked == [("acme", "receipts", Lane.BULK, False)]
    assert suppressed_of(one, Listed(), NOW) is None  # type: ignore[arg-type]


def test_what_is_in_order_is_sent() -> None:
    """Nobody has said anything, or of somebody else."""
    one = work()
    now = one.admitted.accepted_at
    assert ending(one, Orders(), now) is None
    assert ending(one, given((OrderVerb.CANCEL, Target("acme", "other"), 0.0)), now) is None


def test_what_names_no_time_is_never_too_early() -> None:
    """The server stamps it by its own clock, and how far that is ahead is an estimate: some milliseconds off."""
    one = work()
    assert ending(one, Orders(), one.admitted.accepted_at - 0.01, ahead_s=0.005) is None


def test_a_failure_comes_first_then_the_end_of_life() -> None:
    """Whatever an operator has said besides."""
    orders = given((OrderVerb.CANCEL, Target("acme"), 0.0))
    one = work()
    assert isinstance(ending(one, orders, one.admitted.expires_at), Expired)
    one.failure = Failed(NOW, "content", "gone")
    assert ending(one, orders, one.admitted.expires_at) == one.failure


def test_cancelled_outranks_paused() -> None:
    """With the reason that was given."""
    one = work()
    now = one.admitted.accepted_at
    orders = given(
        (OrderVerb.PAUSE, Target("acme"), 0.0), (OrderVerb.CANCEL, Target("acme", "spring-sale"), 0.0)
    )
    assert ending(one, orders, now) == Cancelled(now, "wrong price")


def test_paused_it_is_parked_until_the_end_but_not_for_long() -> None:
    """Ten minutes at a time, spread a little; never beyond the pause or the recipient's life."""
    one = work()
    now = one.admitted.accepted_at
    for until, expected in ((now + 5, now + 5), (0.0, now + 660)):
        orders = given((OrderVerb.PAUSE, Target("acme", "spring-sale"), until))
        assert ending(one, orders, now, 0.5) == Parked(due_at=expected, reason=PAUSED, is_held=True)
    late = one.admitted.expires_at - 1
    assert ending(one, given((OrderVerb.PAUSE, Target("acme"), 0.0)), late) == Parked(late + 1, PAUSED, True)


def test_too_early_it_is_parked_until_its_time() -> None:
    """By the server's clock, which is the one the sender was told of; paused or not."""
    one = work(send_at="2026-12-10T18:00:00Z")
    now = one.admitted.accepted_at
    at = one.admitted.send_at
    paused = given((OrderVerb.PAUSE, Target("acme"), 0.0))
    for orders in (Orders(), paused):
        assert ending(one, orders, now) == Parked(at, EARLY)
        assert ending(one, orders, now, ahead_s=300.0) == Parked(at - 300.0, EARLY)
    assert ending(one, Orders(), at) is None
    assert ending(one, Orders(), at - 300.0, ahead_s=300.0) is None
    assert ending(one, Orders(), at, ahead_s=-300.0) == Parked(at + 300.0, EARLY)


def test_cancelled_outranks_too_early() -> None:
    """Nobody has to wait to hear of it."""
    one = work(send_at="2026-12-10T18:00:00Z")
    orders = given((OrderVerb.CANCEL, Target("acme"), 0.0))
    assert isinstance(ending(one, orders, one.admitted.accepted_at), Cancelled)
