"""`mta.pacing.sharing`, with the governors of nodes under one broker."""

import pytest

from mta.pacing.actions import Actions
from mta.pacing.broker import ASK_S, Broker
from mta.pacing.governors import Governors
from mta.pacing.passage import Passage
from mta.pacing.scope import Scope, ScopeKind
from mta.pacing.settings import PathSettings
from mta.pacing.share import Shares
from mta.pacing.sharing import Sharing
from mta.queue.settings import RateLimit

SITE = Scope(ScopeKind.SITE, "a1", "mx.test")
STEP_S = 0.01


class Nobody:
    def wake(self) -> None:
        """It looks again by itself."""


class Node:
    """Sends as fast as it may to one site."""

    def __init__(self, name: str, limit: RateLimit, now: float, *, others: int) -> None:
        self.name = name
        self.now = now
        self.shares = Shares()
        if others:
            self.shares.meet(others + 1, now)
            self.shares.arrive()
        self.governors = Governors(Actions(), lambda: 0.0)
        self.sharing = Sharing(self.governors, self.shares, lambda: self.now)
        settings = PathSettings(message_rate=limit, connection_rate=RateLimit(1000, 1.0))
        self.passage: Passage = self.governors.passage("a1", "mx.test", "other", settings, Nobody())
        self.sent: list[float] = []
        self.is_connected = False
        self.asks_at = now

    def step(self, now: float, broker: Broker) -> None:
        self.now = now
        if not self.shares.is_alone and (now >= self.asks_at or self.sharing.is_waiting):
            self.asks_at = now + ASK_S
            wants = self.sharing.wants()
            self.shares.take(wants, broker.ask(self.name, wants, now), now)
        self.sharing.share()
        if not self.is_connected:
            self.is_connected = self.passage.take_connection(now) is not None
        while self.is_connected and self.passage.take_message(now) == 0.0:
            self.sent.append(now)


def run(nodes: list[Node], broker: Broker, start: float, seconds: float) -> float:
    now = start
    while now < start + seconds:
        now += STEP_S
        for node in nodes:
            node.step(now, broker)
    return now


def most_in(times: list[float], window_s: float) -> int:
    most, first = 0, 0
    for last, at in enumerate(times):
        while times[first] <= at - window_s + 1e-9:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("limit", [RateLimit(100, 1.0), RateLimit(20, 1.0), RateLimit(50, 5.0)])
def test_two_nodes_keep_one_limit_together_and_use_it(limit: RateLimit) -> None:
    """In no window of its period more than 1.05 of it, from before the second one comes; and in the end it is used."""
    broker = Broker(1_005.0)
    one = Node("n1", limit, 1_000.0, others=0)
    now = run([one], broker, 1_000.0, 3.0)
    other = Node("n2", limit, now, others=1)
    one.shares.meet(2, now)
    now = run([one, other], broker, now, 30.0)
    sent = sorted(one.sent + other.sent)
    most = limit.count / limit.period_s
    assert most_in(sent, limit.period_s) <= limit.count * 1.05
    lately = [at for at in sent if at > now - 10.0]
    assert len(lately) >= 0.9 * most * 10.0
    assert min(sum(at > now - 10.0 for at in node.sent) for node in (one, other)) >= 0.4 * most * 10.0


def test_who_is_left_uses_all_again() -> None:
    """When the other one is not heard of any more."""
    limit = RateLimit(100, 1.0)
    broker = Broker(0.0)
    nodes = [Node(f"n{number}", limit, 1_000.0, others=1) for number in range(2)]
    now = run(nodes, broker, 1_000.0, 20.0)
    nodes[0].shares.meet(1, now)
    now = run(nodes[:1], broker, now, 5.0)
    assert sum(at > now - 2.0 for at in nodes[0].sent) >= 190


def test_a_site_that_nobody_uses_may_be_begun_at_once() -> None:
    """With what is kept for it; nobody has to be asked first."""
    broker, limit = Broker(0.0), RateLimit(100, 1.0)
    nodes = [Node(f"n{number}", limit, 1_000.0, others=1) for number in range(2)]
    now = run(nodes, broker, 1_000.0, 15.0)
    settings = PathSettings(message_rate=limit)
    fresh = nodes[0].governors.passage("a1", "mx.new.test", "other", settings, Nobody())
    assert fresh.take_connection(now) is not None
    assert fresh.take_message(now) == 0.0
    assert nodes[0].sharing.is_waiting


def test_alone_all_limits_are_as_configured() -> None:
    """Nothing is asked, nothing is shared."""
    node = Node("n1", RateLimit(100, 1.0), 1_000.0, others=0)
    run([node], Broker(0.0), 1_000.0, 3.0)
    assert len(node.sent) >= 295
    assert node.governors.get(SITE) is not None
