from collections import Counter
from collections.abc import Callable, Sequence
from random import Random

from mta.compose.settings import ComposeSettings
from mta.compose.spec import Group, Result, SpecBlob
from mta.delivery.email import EmailChannel, _Weighted
from mta.delivery.router import Router
from mta.delivery.settings import PathSettings
from mta.dns.resolver import Resolver
from mta.dns.settings import DnsSettings
from mta.model.lane import Lane
from mta.model.path import EgressPool, EgressSource
from mta.queue.settings import HoldSettings
from tests.unit.delivery.refs import ref

A, B, C = (EgressSource(name, f"{name}.acme.test") for name in "abc")


def test_each_site_sees_the_sources_in_proportion() -> None:
    """Smooth weighted turns, counted per site."""
    weighted = _Weighted(EgressPool("p", ((A, 4), (B, 2), (C, 1))))
    for site in ("x", "y"):
        assert Counter(weighted.choose(site, "").name for _ in range(70)) == {"a": 40, "b": 20, "c": 10}


def test_turns_are_spread() -> None:
    """No source stands three times in a row at 2 : 1, and another site's turns do not disturb."""
    weighted = _Weighted(EgressPool("p", ((A, 2), (B, 1))))
    taken = []
    for _ in range(6):
        taken.append(weighted.choose("x", "").name)
        weighted.choose("y", "")
    assert taken == ["a", "b", "a"] * 2


def test_a_wanted_source_is_used_while_it_exists() -> None:
    """Greylisting knows us by address; a source that was taken out is replaced by the next in turn."""
    weighted = _Weighted(EgressPool("p", ((A, 1), (B, 1))))
    assert [weighted.choose("x", "b") for _ in range(3)] == [B, B, B]
    assert weighted.choose("x", "gone") is A


def test_one_source_needs_no_turns() -> None:
    """The usual case."""
    assert _Weighted(EgressPool("p", ((A, 7),))).choose("x", "") is A


class Takes:
    """A composer that only takes: what was handed to it, chunk by chunk."""

    workers = 2

    def __init__(self) -> None:
        self.chunks: list[list[Group]] = []

    @property
    def outstanding(self) -> int:
        return len(self.chunks)

    def submit(self, groups: Sequence[Group], on_done: Callable[[list[Result]], None]) -> None:
        self.chunks.append(list(groups))

    def sizes(self) -> list[int]:
        return [sum(len(group.addressees) for group in chunk) for chunk in self.chunks]


def channel(bulk: Takes, express: Takes) -> EmailChannel:
    return EmailChannel(
        bulk,  # type: ignore[arg-type]
        express,  # type: ignore[arg-type]
        Router((), (), PathSettings(), Resolver(DnsSettings())),
        {},
        ComposeSettings(chunk=32),
        HoldSettings(),
        in_hand_s=3.0,
        rng=Random(1),
        may_send=lambda: True,
        on_settled=lambda ref, settlement: None,
    )


async def test_bulk_goes_in_chunks_and_leaves_room() -> None:
    """One chunk more than workers at most, so that what comes behind is never far away."""
    bulk, express = Takes(), Takes()
    channel(bulk, express).submit([ref(str(n), is_dry_run=True) for n in range(500)])
    assert bulk.sizes() == [32, 32, 32]
    assert express.sizes() == []


async def test_transactional_has_workers_of_its_own() -> None:
    """Beside full bulk workers, and in small chunks."""
    bulk, express = Takes(), Takes()
    mail = channel(bulk, express)
    mail.submit([ref(str(n), is_dry_run=True) for n in range(500)])
    lane = Lane.TRANSACTIONAL
    mail.submit([ref(str(n), is_dry_run=True, lane=lane) for n in range(10)])
    assert express.sizes() == [8, 2]


async def test_large_content_goes_in_small_chunks() -> None:
    """So that no pipe and no worker holds many copies of it."""
    bulk, express = Takes(), Takes()
    spec = SpecBlob(b"k", b"x" * 250_000)
    channel(bulk, express).submit([ref(str(n), is_dry_run=True, spec=spec) for n in range(40)])
    assert max(bulk.sizes()) <= 3
