"""What a node has in hand: who of its payloads waits, is ready or on the wire, and what has ended."""

from typing import Any, cast

import msgspec
import pytest

from mta.admin.in_hand import Told
from mta.admin.view import FreshRow, HandView, NodeView, PathRow, read
from mta.delivery.binding import Bind, Binding, Standing
from mta.delivery.reference import Parked, Reference, Settlement
from mta.flow.work import SourceKey, Waiting, Work
from mta.jetstream.errors import JetStreamError
from mta.jetstream.layout import RETRY
from mta.model.message import Envelope
from mta.model.outcome import Cancelled
from tests.unit.flow.works import reference, work


class Node:
    """Works and paths as they are given."""

    def __init__(self, *works: Work, standings: tuple[Standing, ...] = ()) -> None:
        self._works = list(works)
        self._standings = list(standings)

    @property
    def in_work(self) -> dict[SourceKey, Work]:
        return {one.key: one for one in self._works}

    def standings(self) -> list[Standing]:
        return self._standings


def begun(count: int, **changes: Any) -> Work:
    one = work(count, **changes)
    one.references += [reference(one, position) for position in range(count)]
    for ref in one.references:
        ref.provider = "google"
    return one


async def counted(*works: Work, told: Told | None = None) -> HandView:
    node = Node(*works)
    view = await (told or Told("n1")).view(node, node)
    return read(HandView, msgspec.json.encode(view), "n1")


async def test_each_recipient_is_counted_where_it_is() -> None:
    """On the wire, composed, waiting, about to be stored; not who is settled."""
    one = begun(6)
    one.references[0].is_on_wire = True
    one.references[1].envelope = cast(Envelope, object())
    one.references[2].is_settled = True
    one.references[3].is_settled = True
    one.references[5].provider = "other"
    one.open = 4
    one.wait(9.0, Waiting(one.references[3], 1, "", None), 0.0)
    view = await counted(one)
    rows = {row.provider: row for row in view.rows}
    google = rows["google"]
    assert (google.waiting, google.ready, google.on_wire, google.later) == (1, 1, 1, 1)
    assert rows["other"].waiting == 1
    assert google.oldest == one.admitted.recipients[0].queued_at
    assert view.fresh == (FreshRow("bulk", "acme", "spring-sale", 1),)


async def test_who_is_not_taken_up_yet_waits_for_nobody_knows_where() -> None:
    """The payload is in hand, its recipients have not gone to the channel."""
    (row,) = (await counted(work(5))).rows
    assert (row.provider, row.waiting) == ("", 5)


async def test_a_due_payload_is_named_by_its_sequence() -> None:
    """So that who counts the stream leaves it out."""
    one = begun(2)
    one.key = (RETRY, 42)
    view = await counted(one)
    assert (view.due, view.fresh) == ((42,), ())


async def test_who_comes_again_has_not_ended() -> None:
    """A cancelled one has, a parked one has not; both are told to who asked to be told."""
    told, heard = Told("n1"), list[Settlement]()

    def settle(ref: Reference[Any], settlement: Settlement) -> None:
        heard.append(settlement)

    hear = told.hearing(settle)
    one = begun(2)
    settlements: list[Settlement] = [Cancelled(1.0, "x"), Parked(9.0, "paused")]
    for ref, settlement in zip(one.references, settlements, strict=True):
        hear(ref, settlement)
    assert heard == settlements
    assert told.rate > 0
    (row,) = (await counted(told=told)).rows
    assert (row.provider, row.ended) == ("google", 1)


async def test_paths_come_with_times_that_others_can_read() -> None:
    """The loop's clock means nothing elsewhere; a long answer is cut."""
    binding = Binding(Bind.BACKED_OFF, until=1.0, reply="x" * 500)
    node = Node(standings=(Standing("a1", "mx.big.test", "google", 5, 1, 2, 0, binding),))
    view = await Told("n1").view(node, node)
    (path,) = view.paths
    assert isinstance(path, PathRow)
    assert path.count == 8
    assert path.binding.until > 1e9 - 1e6
    assert len(path.binding.reply) == 200


def test_an_answer_that_is_none_says_whose_it_was() -> None:
    """Another version may run there."""
    for body in (b"", b"[]", b'{"node": 1}'):
        with pytest.raises(JetStreamError, match="n1: its answer cannot be read"):
            read(NodeView, body, "n1")
