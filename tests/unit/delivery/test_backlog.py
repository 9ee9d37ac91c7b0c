"""What waits for a path, is composed for it, or is ready."""

import time

from mta.delivery.backlog import Backlog
from mta.delivery.parking import Parking
from mta.model.lane import Lane
from mta.pacing.actions import Actions
from mta.pacing.governors import Governors
from mta.pacing.settings import PathSettings
from mta.queue.dispatch import PathLoad
from mta.queue.settings import Fairness, HoldSettings, RateLimit
from tests.unit.delivery.refs import Owner, envelope, ref


def backlog(per_second: float = 100.0) -> Backlog:
    owner = Owner(1)
    settings = PathSettings(message_rate=RateLimit(per_second, 1.0))
    passage = Governors(Actions(), time.time).passage("a1", "mx.test", "other", settings, owner.pool)
    return Backlog(PathLoad(), Parking(HoldSettings(bulk_s=2.0), passage, owner._around.rng), 2, Fairness())


async def test_counts_follow_a_reference() -> None:
    """Waiting, composing, ready, on the wire, and back in front."""
    one, mail = backlog(), ref("a")
    assert one.put(mail)
    assert (one.load.waiting, one.load.composing, one.load.ready) == (1, 0, 0)
    assert one.take_to_compose(5, Lane.BULK) == [mail]
    assert (one.load.waiting, one.load.composing, one.load.ready) == (0, 1, 0)
    one.end_composing(mail)
    one.put_ready(mail, envelope(mail))
    assert (one.load.waiting, one.load.composing, one.load.ready) == (0, 0, 1)
    assert one.next_ready() is mail
    assert mail.is_on_wire
    assert not one.load.demand
    one.put_back(mail)
    assert one.load.ready == 1


async def test_more_than_can_go_in_time_is_not_taken() -> None:
    """References ahead by the rate may not exceed the hold."""
    one = backlog(per_second=5.0)
    assert [one.put(ref(str(number))) for number in range(12)] == [True] * 10 + [False] * 2
    assert one.sendable(Lane.BULK, 1.0) == 6


async def test_what_is_stalled_is_taken_by_lane() -> None:
    """Transactional mail waits less long than bulk."""
    one = backlog()
    bulk, soon = ref("a"), ref("b", lane=Lane.TRANSACTIONAL)
    one.put(bulk)
    one.put(soon)
    one.load.stalled_since = 1000.0
    one.parking._hold = HoldSettings(bulk_s=60.0, transactional_s=5.0)
    assert one.take_stalled(1010.0, 1010.0) == [soon]
    assert one.take_stalled(1070.0, 1070.0) == [bulk]


async def test_nothing_is_kept_of_an_empty_one() -> None:
    """G3: there may be a hundred thousand of them."""
    one, mail = backlog(), ref("a")
    one.put(mail)
    one.rest()
    assert one.has_any
    assert one.drain() == [mail]
    one.rest()
    assert one._queue is None
    assert not one.has_any
