"""What one path takes of all the scopes that it lies in."""

from collections.abc import Iterator
from math import ceil
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mta.model.outcome import BounceClass, BounceType, Scope, Verdict
from mta.model.sender import Sender
from mta.pacing.actions import Actions
from mta.pacing.governor import Why
from mta.pacing.governors import Governors
from mta.pacing.passage import Passage
from mta.pacing.scope import Scope as Where
from mta.pacing.scope import ScopeKind
from mta.pacing.settings import Limits, PathSettings
from mta.queue.settings import RateLimit

EPOCH = 1.8e9
WHY = Why(EPOCH, "421 slower", "rate_limited")
ACME = Sender("acme", "c", "news", "acme.test")


class Path:
    """Always has more to send."""

    def __init__(self, governors: Governors, site: str, settings: PathSettings) -> None:
        self.passage: Passage = governors.passage("a1", site, "google", settings, self)
        self.is_woken = True
        self.due = 0.0
        self.sent: list[float] = []

    def wake(self) -> None:
        self.is_woken = True

    def turn(self, now: float, most: int) -> None:
        """As a connection does that has its answer: the next one at once."""
        self.is_woken = False
        for _ in range(most):
            wait_s = self.passage.take_message(now)
            if wait_s:
                self.due = now + wait_s
                return
            self.sent.append(now)


def known() -> Governors:
    return Governors(Actions(), lambda: EPOCH)


def run(paths: list[Path], seconds: float, rng: Random) -> Iterator[float]:
    now = 1000.0
    while now < 1000.0 + seconds:
        for path in paths:
            if path.is_woken or now >= path.due:
                path.turn(now, rng.choice((1, 1, 3, 20)))
        yield now
        now += 0.002


def most_in_window(sent: list[float], width: float) -> int:
    first = most = 0
    for last, at in enumerate(sent):
        while at - sent[first] >= width * (1 - 1e-9):
            first += 1
        most = max(most, last - first + 1)
    return most


@settings(max_examples=25, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(5, 100),
    st.integers(5, 200),
    st.lists(st.integers(2, 100), max_size=4),
    st.randoms(),
)
def test_no_scope_gets_more_than_its_limit(
    own: int, provider: int, whole: int, shares: list[int], rng: Random
) -> None:
    """G6: site, provider and source at once, and shares that change; and nobody starves."""
    governors = known()
    limits = PathSettings(
        message_rate=RateLimit(own, 1.0),
        provider=Limits(message_rate=RateLimit(provider, 1.0)),
        whole_source=Limits(message_rate=RateLimit(whole, 1.0)),
    )
    paths = [Path(governors, f"mx{number}.test", limits) for number in range(5)]
    changes = {1000.0 + 1.0 * (place + 1): share for place, share in enumerate(shares)}
    greatest = provider
    for now in run(paths, 6.0, rng):
        for at in [at for at in changes if at <= now]:
            part = min(provider, changes.pop(at))
            governors.share(
                Where(ScopeKind.PROVIDER, "a1", "google"), Limits(message_rate=RateLimit(part, 1.0))
            )
    everything = sorted(at for path in paths for at in path.sent)
    for sent, limit in [(path.sent, own) for path in paths] + [(everything, greatest), (everything, whole)]:
        assert most_in_window(sent, 1.0) <= max(ceil(limit), limit * 1.05) + 1e-6
    fair = min(own, min([provider, whole, *shares]) / len(paths)) * 6.0
    for path in paths:
        assert len(path.sent) >= 0.5 * fair - 2


def test_what_is_shared_is_shared_evenly() -> None:
    """A path that comes back at once, and before its time, does not overtake those that wait."""
    governors = known()
    limits = PathSettings(
        message_rate=RateLimit(1000, 1.0), provider=Limits(message_rate=RateLimit(100, 1.0))
    )
    paths = [Path(governors, f"mx{number}.test", limits) for number in range(4)]
    for now in run(paths, 10.0, Random(1)):
        paths[0].turn(now + 0.001, 20)
    counts = [len(path.sent) for path in paths]
    assert sum(counts) > 950
    assert max(counts) <= 1.1 * min(counts)


def test_none_is_taken_of_one_scope_while_another_refuses() -> None:
    """All at once or nothing: what the provider refuses costs the site nothing."""
    governors = known()
    limits = PathSettings(message_rate=RateLimit(1, 1.0), provider=Limits(message_rate=RateLimit(1, 10.0)))
    one, other = Path(governors, "mx1.test", limits), Path(governors, "mx2.test", limits)
    assert one.passage.take_message(1000.0) == 0.0
    assert other.passage.take_message(1000.0) > 9.0
    site = governors.get(Where(ScopeKind.SITE, "a1", "mx2.test"))
    assert site is not None
    assert site.rate is not None
    assert site.rate.peek(1000.0) == 0.0


def test_a_slow_site_holds_nobody_up() -> None:
    """It waits in its own line, not at the head of its provider's."""
    governors = known()
    slow = PathSettings(message_rate=RateLimit(1, 60.0), provider=Limits(message_rate=RateLimit(100, 1.0)))
    fast = PathSettings(message_rate=RateLimit(1000, 1.0), provider=Limits(message_rate=RateLimit(100, 1.0)))
    paths = [Path(governors, "slow.test", slow), Path(governors, "fast.test", fast)]
    for _ in run(paths, 5.0, Random(1)):
        pass
    assert len(paths[1].sent) > 480


def test_a_path_without_a_provider_asks_none() -> None:
    """`other` is nobody: sites of it share nothing but the source."""
    governors = known()
    path = PathSettings(provider=Limits(message_rate=RateLimit(1, 3600.0)))
    for site in ("a.test", "b.test"):
        passage = governors.passage("a1", site, "other", path, Path(known(), "x", path))
        assert passage.take_message(1000.0) == 0.0
    assert governors.get(Where(ScopeKind.PROVIDER, "a1", "other")) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 4), st.lists(st.integers(0, 9), max_size=120))
def test_connections_balance(own: int, provider: int, host: int, course: list[int]) -> None:
    """Never more than any limit, each unit comes back once, and whoever waits gets one in the end."""
    governors = known()
    limits = PathSettings(
        connections=own,
        connection_rate=RateLimit(1e6, 1.0),
        host_connections=host,
        provider=Limits(connections=provider),
    )
    paths = [Path(governors, f"mx{number}.test", limits) for number in range(3)]
    held: list[tuple[int, object]] = []
    now = 1000.0
    for step in course:
        now += 0.01
        if step < 6:
            number = step % 3
            units = paths[number].passage.take_connection(now)
            if units is not None and paths[number].passage.take_host(units, "h.test", now):
                held.append((number, units))
            elif units is not None:
                units.release()
        elif held:
            held.pop(0)[1].release()  # type: ignore[attr-defined]
        assert len(held) <= min(provider, host)
        for number in range(3):
            assert sum(who == number for who, _ in held) <= own
    for _, units in held:
        units.release()  # type: ignore[attr-defined]
    for scope in (Where(ScopeKind.PROVIDER, "a1", "google"), Where(ScopeKind.HOST, "a1", "h.test")):
        governor = governors.get(scope)
        assert governor is None or governor.in_use == 0
        assert governor is None or not governor.holders


def test_units_come_back_once() -> None:
    """A second time they may be somebody else's."""
    path = Path(known(), "mx.test", PathSettings())
    held = path.passage.take_connection(1000.0)
    assert held is not None
    held.release()
    with pytest.raises(RuntimeError):
        held.release()


def verdict(scope: Scope, kind: BounceClass, *actions: str, accused: str = "x") -> Verdict:
    return Verdict(
        bounce_class=kind,
        category="rate",
        type=BounceType.SOFT,
        accused=accused,
        scope=scope,
        rule="r",
        actions=actions,
    )


@pytest.mark.parametrize(
    ("said", "slowed"),
    [
        (verdict(Scope.SOURCE, BounceClass.RATE_LIMITED, "back_off"), ["provider"]),
        (verdict(Scope.SOURCE, BounceClass.IP_BLOCKED, "pause_source"), []),
        (verdict(Scope.SITE, BounceClass.RATE_LIMITED, "back_off"), ["site"]),
        (verdict(Scope.CONNECTION, BounceClass.CONNECTION_LIMITED, "back_off"), ["host"]),
        (verdict(Scope.CONNECTION, BounceClass.RATE_LIMITED, "back_off", accused="source_ip"), ["provider"]),
        (verdict(Scope.CONNECTION, BounceClass.CONNECTION_LOST, "retry"), []),
        (verdict(Scope.RECIPIENT, BounceClass.GREYLISTED, "greylist"), []),
        (verdict(Scope.MESSAGE, BounceClass.SPAM_CONTENT, "retry"), []),
        (verdict(Scope.STREAM, BounceClass.AUTH_FAILED, "retry"), ["stream"]),
    ],
)
def test_whom_the_peer_accuses_slows_down(said: Verdict, slowed: list[str]) -> None:
    """By scope and action; nobody else."""
    governors = known()
    path = Path(governors, "mx.test", PathSettings())
    path.passage.take_message(1000.0)
    path.passage.note_accepted(1000.0)
    path.passage.note_refused(said, ACME, "mx1.test", 4, 1000.0, WHY)
    told = [row.scope.kind.value for row in governors.list(1000.0)] + ["stream"] * len(governors.streams)
    assert told == slowed


def test_trouble_of_nobody_s_site_stays_there() -> None:
    """Of provider `other` the site slows: other sites of the source are strangers to it."""
    governors = known()
    settings = PathSettings()
    owner = Path(known(), "x", settings)
    bad = governors.passage("a1", "bad.test", "other", settings, owner)
    good = governors.passage("a1", "good.test", "other", settings, owner)
    bad.note_refused(verdict(Scope.SOURCE, BounceClass.RATE_LIMITED, "back_off"), ACME, "h", 1, 1000.0, WHY)
    assert bad.take_message(1001.0) > 0
    assert good.take_message(1001.0) == 0.0
