"""What is composed waits in two lanes, and an empty one costs nothing."""

import sys

from mta.delivery.stock import Stock
from mta.model.lane import Lane
from mta.model.sender import Sender
from mta.queue.settings import EVEN
from tests.unit.delivery.refs import ref


def test_transactional_goes_first_and_bulk_gets_its_share() -> None:
    """One in eight, while both wait."""
    stock = Stock(EVEN)
    for number in range(16):
        stock.put(ref(f"t{number}", lane=Lane.TRANSACTIONAL))
        stock.put(ref(f"b{number}"))
    taken = [stock.take() for _ in range(16)]
    assert [one.lane for one in taken if one is not None] == ([Lane.TRANSACTIONAL] * 7 + [Lane.BULK]) * 2
    assert (stock.count(Lane.TRANSACTIONAL), stock.count(Lane.BULK), len(stock)) == (2, 14, 16)


def test_what_was_on_its_way_goes_before_the_others() -> None:
    """And what was settled meanwhile does not go at all."""
    stock = Stock(EVEN)
    first, second, gone = ref("1"), ref("2"), ref("3")
    stock.put(gone)
    stock.put(second)
    stock.put_back(first)
    gone.is_settled = True
    assert [stock.take() for _ in range(3)] == [first, second, None]
    assert len(stock) == 0


def test_a_lane_is_drained_alone() -> None:
    """In order; the other stays."""
    stock = Stock(EVEN)
    bulk, urgent = [ref(str(number)) for number in range(3)], ref(lane=Lane.TRANSACTIONAL)
    for one in (*bulk, urgent):
        stock.put(one)
    assert stock.drain(Lane.BULK) == bulk
    assert stock.drain(Lane.BULK) == []
    assert stock.take() is urgent


def test_what_is_composed_is_at_hand() -> None:
    """Beside what is ready, in either lane, but for what nobody wants any more."""
    stock = Stock(EVEN)
    ready, urgent, first, second, gone = (ref(), ref(lane=Lane.TRANSACTIONAL), *(ref() for _ in range(3)))
    assert stock.begin([first, gone]) == 2
    assert stock.begin([second]) == 3
    stock.put(ready)
    stock.put(urgent)
    gone.is_settled = True
    assert set(stock.at_hand()) == {ready, urgent, first, second}
    assert [stock.end(one) for one in (first, gone, second, second)] == [2, 1, 0, 0]
    assert set(stock.at_hand()) == {ready, urgent}
    assert len(stock) == 2


def test_an_empty_stock_holds_no_deque() -> None:
    """G3: 100,000 paths may each have one, and be empty again."""
    stock = Stock(EVEN)
    stock.begin([one := ref()])
    stock.end(one)
    stock.put(ref())
    stock.put(ref(lane=Lane.TRANSACTIONAL))
    stock.take()
    stock.take()
    stock.rest()
    assert sum(sys.getsizeof(getattr(stock, name)) for name in Stock.__slots__) < 200


def test_who_comes_does_not_wait_for_all_that_is_ready() -> None:
    """G4: half a second's worth of another tenant is composed already when the first of his are."""
    stock = Stock(EVEN)
    for number in range(100):
        stock.put(ref(f"m{number}", sender=Sender("many")))
    for number in range(8):
        stock.put(ref(f"f{number}", sender=Sender("few")))
    taken = [stock.take() for _ in range(24)]
    assert sum(one.sender.tenant == "few" for one in taken if one is not None) == 8


def test_what_is_under_way_is_counted_by_lane() -> None:
    """While it is composed, and while it is ready."""
    stock = Stock(EVEN)
    urgent, bulk = ref("u", lane=Lane.TRANSACTIONAL), ref("b")
    stock.begin([urgent, bulk])
    assert stock.urgent == 1
    stock.end(urgent)
    stock.end(urgent)
    assert stock.urgent == 0
    stock.put(urgent)
    stock.put(bulk)
    assert stock.urgent == 1
