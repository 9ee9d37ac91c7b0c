"""The part of `mta.pacing.fleet` that needs no server."""

from collections.abc import Sequence
from typing import cast

from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket
from mta.pacing.broker import LEASE_S, Want
from mta.pacing.fleet import Fleet, broker_in
from mta.pacing.share import Shares


class Nothing:
    """To govern."""

    is_waiting = False

    def wants(self) -> Sequence[Want]:
        return ()

    def share(self) -> None: ...


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_who_has_left_counts_for_a_lease() -> None:
    """G6: who is left alone begins with all only when nothing of what the other sent can count any more; meanwhile the
    other one is back, and its place is as if it had never gone."""
    clock, shares = Clock(), Shares()
    link, bucket = cast(Link, None), cast(Bucket, None)  # nothing is asked here
    fleet = Fleet(link, bucket, "n1", Nothing(), shares, clock=clock)
    fleet.apply("node.n2", b"{}")
    fleet.apply("node.n2", None)
    assert (fleet.nodes, shares.is_alone) == (["n1"], False)
    clock.now += LEASE_S - 0.1
    fleet.apply("node.n2", b"{}")
    fleet.apply("node.n2", None)
    clock.now += LEASE_S - 0.1
    fleet.apply("node.n3", None)  # of whom nothing was ever heard
    assert not shares.is_alone
    clock.now += 0.2
    fleet.apply("node.n3", None)
    assert shares.is_alone


def test_who_is_broker_is_read_from_its_office() -> None:
    """What cannot be read names nobody."""
    assert broker_in(b'{"node":"n1"}') == "n1"
    assert broker_in(b"") == broker_in(b"[]") == broker_in(b'{"node":1}') == ""
