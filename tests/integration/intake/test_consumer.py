import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from mta.intake.consumer import Intake
from mta.intake.orders import Order, Orders, OrderVerb, Target, encode_order, order_key
from mta.intake.settings import IntakeSettings
from mta.jetstream.connection import Link, open_link
from mta.jetstream.consumers import consumer_state, create_consumer, list_consumers
from mta.jetstream.layout import PAYLOADS, RETRY, Capacity, campaign
from mta.jetstream.pull import Pulled, Puller
from mta.jetstream.pump import Pump
from mta.jetstream.schedule import retry
from mta.jetstream.setup import setup
from mta.jetstream.subjects import campaign_consumer, payload_subject
from mta.model.lane import Lane
from tests.fakes.nats import NatsServer, eventually, running

QUICK = msgspec.structs.replace(
    IntakeSettings(), ack_wait_s=5.0, look_s=0.05, linger_s=0.2, pause_s=1.5, turn_s=0.5, pull_expires_s=0.5
)


@pytest.fixture
async def link(nats_server: NatsServer) -> AsyncIterator[Link]:
    """Connected, streams and consumers made; `ack_wait` is 5 s."""
    opened = await open_link(nats_server.settings(), name="test", report=lambda _: None)
    await setup(opened, Capacity(events_max_bytes=1 << 27), ack_wait_s=5.0)
    yield opened
    await opened.close()


class Desk:
    """Stands for the flow: keeps what it gets, until told to acknowledge."""

    def __init__(self, link: Link, settings: IntakeSettings = QUICK) -> None:
        self.rooms = {Lane.TRANSACTIONAL: 20_000, Lane.BULK: 100_000}
        self.payloads = 200
        self.got: list[tuple[Pulled, Lane, bool]] = []
        self.in_hand: Counter[str] = Counter()
        self.recipients: Counter[Lane] = Counter()
        self.reports: list[str] = []
        self.link = link
        self.orders = Orders()
        self.intake = Intake(
            link,
            settings,
            self.orders,
            on_message=self.take,
            room=lambda lane: self.rooms[lane] - self.recipients[lane],
            payload_room=lambda: self.payloads - sum(n for name, n in self.in_hand.items() if "bulk" in name),
            held=self.in_hand.__getitem__,
            weight=lambda tenant: 1,
            report=self.reports.append,
        )

    def take(self, pulled: Pulled, lane: Lane, is_due: bool) -> None:
        self.got.append((pulled, lane, is_due))
        self.in_hand[pulled.consumer] += 1
        self.recipients[lane] += pulled.data.count(b"email") - 1

    def subjects(self) -> Counter[str]:
        return Counter(pulled.subject for pulled, _, _ in self.got)

    async def acknowledge(self, pulled: Pulled) -> None:
        await self.link.ack_sync(pulled.reply)
        self.in_hand[pulled.consumer] -= 1
        self.intake.wake()

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            group.create_task(self.intake.run())
            yield
            await self.intake.stop()


async def is_there(link: Link, subject: str) -> bool:
    """Whether the campaign has its consumer."""
    return await consumer_state(link, PAYLOADS, campaign_consumer(subject)) is not None


async def is_gone(link: Link, subject: str) -> bool:
    return not await is_there(link, subject)


async def publish(link: Link, subject: str, count: int, *, recipients: int = 1) -> None:
    people = b",".join(b'{"email":"a@b.test"}' for _ in range(recipients))
    body = b'{"from":{"email":"x@acme.test"},"recipients":[%s]}' % people
    pump = Pump(link)
    async with running(pump.run()):
        for number in range(count):
            pump.publish(subject, body, msg_id=f"{subject}/{number}", on_done=lambda _: None)
        await pump.drain()


BULK = [payload_subject(Lane.BULK, "acme", f"campaign-{n}") for n in range(20)]
FAST = payload_subject(Lane.TRANSACTIONAL, "acme", "")


async def test_both_lanes_and_what_is_due_arrive_with_their_lane(link: Link) -> None:
    """Each message is told with its lane, and whether it is due again."""
    desk = Desk(link)
    await publish(link, FAST, 1)
    await publish(link, BULK[0], 1)
    for lane in Lane:
        made = retry(lane, "acme", "", bytes(16), f"p{len(lane)}-0", 0.0)
        await link.call(made.subject, b"{}", headers=made.headers)
    async with desk.working():
        await eventually(lambda: len(desk.got) == 4)
    told = {(pulled.stream, lane, is_due) for pulled, lane, is_due in desk.got}
    assert told == {
        (PAYLOADS, Lane.TRANSACTIONAL, False),
        (PAYLOADS, Lane.BULK, False),
        (RETRY, Lane.TRANSACTIONAL, True),
        (RETRY, Lane.BULK, True),
    }
    assert not desk.reports


async def test_transactional_comes_at_once(link: Link) -> None:
    """A standing pull: a message published while nothing else happens is there in milliseconds."""
    desk = Desk(link, msgspec.structs.replace(QUICK, look_s=1.0))
    async with desk.working():
        await publish(link, FAST, 1)
        await eventually(lambda: desk.got)
        delays = []
        for number in range(20):
            count = len(desk.got)
            started = time.monotonic()
            await link.call(FAST, b"{}", headers={"Nats-Msg-Id": f"late/{number}"})
            await eventually(lambda count=count: len(desk.got) > count)  # type: ignore[misc]
            delays.append(time.monotonic() - started)
    assert sorted(delays)[10] < 0.1


async def test_a_new_campaign_is_noticed(link: Link) -> None:
    """Within about the time between two looks."""
    desk = Desk(link)
    async with desk.working():
        for subject in BULK[:5]:
            await publish(link, subject, 1)
            await eventually(lambda subject=subject: desk.subjects()[subject] == 1, 3)  # type: ignore[misc]


async def test_campaigns_take_turns(link: Link) -> None:
    """One with many payloads does not shut out those with few, although room is short."""
    await publish(link, BULK[0], 400)
    for subject in BULK[1:10]:
        await publish(link, subject, 3)
    desk = Desk(link)
    desk.payloads = 40
    async with desk.working():
        for position in range(200):
            await eventually(lambda position=position: len(desk.got) > position)  # type: ignore[misc]
            await desk.acknowledge(desk.got[position][0])
            if all(desk.subjects()[subject] == 3 for subject in BULK[1:10]):
                break
    assert all(desk.subjects()[subject] == 3 for subject in BULK[1:10])
    assert desk.subjects()[BULK[0]] < 150


async def test_tenants_take_turns(link: Link) -> None:
    """G4: one of thirty campaigns, with ten times the recipients a payload, takes about as much as another meanwhile,
    not three hundred times as much; more than that only while the other has asked and waits for the answer."""
    for number in range(30):
        await publish(link, payload_subject(Lane.BULK, "many", f"c{number}"), 20, recipients=50)
    few = payload_subject(Lane.BULK, "few", "one")
    await publish(link, few, 100, recipients=5)
    desk = Desk(link)
    desk.rooms[Lane.BULK] = 100
    async with desk.working():
        for position in range(400):
            await eventually(lambda position=position: len(desk.got) > position)  # type: ignore[misc]
            pulled, lane, _ = desk.got[position]
            desk.recipients[lane] -= pulled.data.count(b"email") - 1
            await desk.acknowledge(pulled)
            if desk.subjects()[few] == 100:
                break
    taken = sum(data.data.count(b"email") - 1 for data, _, _ in desk.got)
    assert desk.subjects()[few] == 100
    assert taken < 6000


async def test_no_campaign_holds_more_than_is_free(link: Link) -> None:
    """With 40 slots one alone, never acknowledged, gets half: the other half stays for the next campaign."""
    await publish(link, BULK[0], 100)
    desk = Desk(link)
    desk.payloads = 40
    async with desk.working():
        await eventually(lambda: len(desk.got) >= 18)
        await publish(link, BULK[1], 100)
        await eventually(lambda: desk.subjects()[BULK[1]] >= 8)
    assert desk.subjects()[BULK[0]] <= 20
    assert len(desk.got) <= 40


async def test_no_tenant_holds_more_than_three_times_what_is_free(link: Link) -> None:
    """With 40 slots, ten campaigns of one tenant that are never acknowledged leave another his ten slots."""
    for number in range(10):
        await publish(link, payload_subject(Lane.BULK, "many", f"c{number}"), 20)
    desk = Desk(link)
    desk.payloads = 40
    async with desk.working():
        await eventually(lambda: len(desk.got) >= 28)
        few = payload_subject(Lane.BULK, "few", "one")
        await publish(link, few, 5)
        await eventually(lambda: desk.subjects()[few] == 5)
        assert len(desk.got) - 5 <= 30


async def test_no_room_no_pull(link: Link) -> None:
    """Nothing is asked for until there is room, and then no more than that."""
    await publish(link, FAST, 50)
    await publish(link, BULK[0], 50, recipients=100)
    desk = Desk(link)
    desk.rooms = {Lane.TRANSACTIONAL: 0, Lane.BULK: 0}
    async with desk.working():
        await eventually(lambda: is_there(link, BULK[0]))
        assert not desk.got
        desk.rooms[Lane.TRANSACTIONAL] = 5
        desk.intake.wake()
        await eventually(lambda: desk.recipients[Lane.TRANSACTIONAL] >= 5)
    assert len(desk.got) == 5
    assert {lane for _, lane, _ in desk.got} == {Lane.TRANSACTIONAL}


async def test_how_much_is_asked_for_follows_what_payloads_hold(link: Link) -> None:
    """Room for 1,000 recipients is filled by payloads of 100, without much over it."""
    await publish(link, BULK[0], 300, recipients=100)
    desk = Desk(link)
    desk.rooms[Lane.BULK] = 1000
    async with desk.working():
        await eventually(lambda: desk.recipients[Lane.BULK] >= 1000)
    assert 1000 <= desk.recipients[Lane.BULK] <= 1500


async def test_small_payloads_of_one_make_those_of_another_no_smaller(link: Link) -> None:
    """G4: what a payload holds is guessed for each campaign: after many of one recipient, room for 1,000 is not filled
    by 1,000 payloads of 500."""
    await publish(link, BULK[0], 60)
    desk = Desk(link)
    desk.rooms[Lane.BULK] = 1000
    async with desk.working():
        await eventually(lambda: desk.recipients[Lane.BULK] == 60)
        for pulled, _, _ in list(desk.got):
            await desk.acknowledge(pulled)
        await publish(link, BULK[1], 40, recipients=500)
        await eventually(lambda: desk.recipients[Lane.BULK] >= 1000)
    assert desk.recipients[Lane.BULK] <= 60 + 1000


async def test_of_a_new_campaign_one_payload_is_asked_for(link: Link) -> None:
    """Nobody knows yet how large its payloads are: others are not to wait for a guess, nor is it to take too much."""
    desk = Desk(link)
    desk.rooms[Lane.BULK] = 2_000
    await publish(link, BULK[0], 4, recipients=1_000)
    async with desk.working():
        await eventually(lambda: len(desk.got) >= 2)
    assert len(desk.got) == 2


async def test_an_empty_campaign_loses_its_consumer_and_comes_back(link: Link) -> None:
    """Paused first, deleted when nothing is in work; the next payload of it is pulled as ever."""
    await publish(link, BULK[0], 2)
    desk = Desk(link)
    async with desk.working():
        await eventually(lambda: len(desk.got) == 2)
        for pulled, _, _ in list(desk.got):
            await desk.acknowledge(pulled)
        await eventually(lambda: is_gone(link, BULK[0]))
        await link.call(BULK[0], b"{}")
        await eventually(lambda: len(desk.got) == 3)
        assert desk.got[2][0].num_delivered == 1


async def test_a_campaign_with_work_in_hand_keeps_its_consumer(link: Link) -> None:
    """Whatever its turn: deleted now, it would hand its messages out again as new. Its turn comes again,
    too."""
    for subject in BULK[:6]:
        await publish(link, subject, 2)
    desk = Desk(link, msgspec.structs.replace(QUICK, campaigns_at_once=2))
    async with desk.working():
        await eventually(lambda: len(desk.subjects()) == 6 and len(desk.got) >= 12, 20)
        states = {state.name: state for state in await list_consumers(link, PAYLOADS)}
        held = {campaign_consumer(subject) for subject in BULK[:6]}
        assert held <= set(states)
        assert all(states[name].ack_pending == 2 for name in held)
        first = {(pulled.subject, pulled.stream_sequence): pulled for pulled, _, _ in desk.got}
        assert len(first) == len(desk.got) == 12
        for pulled in first.values():
            await desk.acknowledge(pulled)
        for subject in BULK[:6]:
            await eventually(lambda subject=subject: is_gone(link, subject), 20)  # type: ignore[misc]


async def test_orphans_are_taken_away(link: Link) -> None:
    """A consumer that a dead daemon left behind, of a campaign that is over."""
    await create_consumer(link, campaign(BULK[7], 5.0))
    desk = Desk(link)
    async with desk.working():
        await eventually(lambda: is_gone(link, BULK[7]))
    assert not desk.reports


async def test_a_consumer_deleted_by_another_hand_is_made_again(link: Link) -> None:
    """At the next look, if its subject still holds messages."""
    name = campaign_consumer(BULK[0])
    await publish(link, BULK[0], 1)
    desk = Desk(link)
    async with desk.working():
        await eventually(lambda: desk.got)
        await link.api(f"CONSUMER.DELETE.{PAYLOADS}.{name}")
        await link.call(BULK[0], b"{}")
        await eventually(lambda: len({pulled.stream_sequence for pulled, _, _ in desk.got}) == 2)


async def test_two_daemons_share_without_a_double(link: Link, nats_server: NatsServer) -> None:
    """They make the same consumers, and each message comes to one of them."""
    other_link = await open_link(nats_server.settings(), name="other", report=lambda _: None)
    one, other = Desk(link), Desk(other_link)
    one.payloads = other.payloads = 1000
    async with one.working(), other.working():
        for subject in BULK[:4]:
            await publish(link, subject, 30)
        await publish(link, FAST, 100)
        await eventually(lambda: len(one.got) + len(other.got) >= 220)
    sequences = Counter(pulled.stream_sequence for pulled, _, _ in one.got + other.got)
    assert set(sequences.values()) == {1}
    assert not one.reports
    assert not other.reports
    await other_link.close()


async def test_kill_and_restart_of_the_server(link: Link, nats_server: NatsServer) -> None:
    """Pulling goes on by itself, for standing pulls and for campaigns; nothing is lost."""
    desk = Desk(link)
    desk.payloads = 1000
    async with desk.working():
        await publish(link, FAST, 20)
        await publish(link, BULK[0], 20)
        await eventually(lambda: len(desk.got) >= 40)
        for kills in range(2):
            nats_server.kill()
            await eventually(lambda: not link.is_connected)
            await nats_server.start()
            await asyncio.wait_for(link.until_connected(), 10)
            for subject in (FAST, BULK[0], BULK[1 + kills]):
                await link.call(subject, b"{}")
        await eventually(lambda: len({pulled.stream_sequence for pulled, _, _ in desk.got}) == 46)
    sequences = {pulled.stream_sequence for pulled, _, _ in desk.got}
    assert sequences == set(range(1, 47))


async def test_stop_is_prompt_and_gives_back(link: Link) -> None:
    """Although pulls wait for seconds; and what comes afterwards is there for another at once."""
    desk = Desk(link, msgspec.structs.replace(QUICK, pull_expires_s=60.0, look_s=30.0))
    async with asyncio.TaskGroup() as group:
        running_intake = group.create_task(desk.intake.run())
        await publish(link, FAST, 1)
        await eventually(lambda: desk.got)
        started = time.monotonic()
        await desk.intake.stop()
        assert time.monotonic() - started < 2
        await running_intake
    await publish(link, FAST + "x", 3)
    rest: list[Pulled] = []
    puller = Puller(link, PAYLOADS, "transactional", rest.append)
    await puller.open()
    await asyncio.wait_for(puller.pull(3, expires_s=2.0), 5)
    assert len(rest) == 3
    await puller.close()


async def test_stop_while_disconnected(link: Link, nats_server: NatsServer) -> None:
    """Ends as promptly."""
    desk = Desk(link)
    async with asyncio.TaskGroup() as group:
        group.create_task(desk.intake.run())
        await publish(link, FAST, 1)
        await eventually(lambda: desk.got)
        nats_server.kill()
        await eventually(lambda: not link.is_connected)
        await asyncio.wait_for(desk.intake.stop(), 5)
    await nats_server.start()


async def test_a_paused_campaign_is_not_pulled_from(link: Link) -> None:
    """Its messages stay in the stream, its neighbour goes on, and resumed it is taken up again."""
    desk = Desk(link)
    paused = Target("acme", "slow")
    desk.orders.apply(order_key(OrderVerb.PAUSE, paused), encode_order(Order()))
    pump = Pump(link)
    async with running(pump.run()), desk.working():
        for campaign_name in ("slow", "quick"):
            subject = payload_subject(Lane.BULK, "acme", campaign_name)
            await pump.publish_acked(subject, b'{"email": 1, "email": 2}', msg_id=campaign_name)
        await eventually(lambda: desk.subjects()[payload_subject(Lane.BULK, "acme", "quick")] == 1)
        assert not desk.subjects()[payload_subject(Lane.BULK, "acme", "slow")]
        desk.orders.apply(order_key(OrderVerb.PAUSE, paused), None)
        await eventually(lambda: desk.subjects()[payload_subject(Lane.BULK, "acme", "slow")] == 1)
        for pulled, _, _ in desk.got:
            await desk.acknowledge(pulled)


async def test_a_paused_lane_rests(link: Link) -> None:
    """Fresh transactional payloads wait in the stream until it is taken back."""
    desk = Desk(link)
    lane = Target(lane=Lane.TRANSACTIONAL)
    desk.orders.apply(order_key(OrderVerb.PAUSE, lane), encode_order(Order()))
    pump = Pump(link)
    subject = payload_subject(Lane.TRANSACTIONAL, "acme", "")
    bulk = payload_subject(Lane.BULK, "acme", "c")
    async with running(pump.run()), desk.working():
        await pump.publish_acked(subject, b"{}", msg_id="one")
        await pump.publish_acked(bulk, b"{}", msg_id="two")
        await eventually(lambda: desk.subjects()[bulk] == 1)
        assert not desk.subjects()[subject]
        desk.orders.apply(order_key(OrderVerb.PAUSE, lane), None)
        await eventually(lambda: desk.subjects()[subject] == 1)
        for pulled, _, _ in desk.got:
            await desk.acknowledge(pulled)
