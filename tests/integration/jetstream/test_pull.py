import asyncio
import time

from mta.jetstream.connection import Link
from mta.jetstream.consumers import delete_consumer
from mta.jetstream.layout import PAYLOADS
from mta.jetstream.pull import End, Pulled, Puller
from tests.fakes.nats import NatsServer, eventually

SUBJECT = "mta.payload.transactional.acme._"


async def publish(link: Link, count: int, size: int = 10) -> None:
    for number in range(count):
        await link.call(SUBJECT, b"x" * size, headers={"Nats-Msg-Id": f"acme/{number}", "traceparent": "t"})


async def is_waiting(link: Link) -> bool:
    """Whether a pull is parked at the server."""
    info = await link.api(f"CONSUMER.INFO.{PAYLOADS}.transactional")
    return bool(info["num_waiting"])


async def opened(link: Link, got: list[Pulled], consumer: str = "transactional") -> Puller:
    puller = Puller(link, PAYLOADS, consumer, got.append)
    await puller.open()
    return puller


async def test_a_pulled_message_tells_all_of_itself(link: Link) -> None:
    """Everything the flow needs, and a lease that starts when the pull was sent."""
    await publish(link, 2)
    got: list[Pulled] = []
    puller = await opened(link, got)
    before = time.monotonic()
    end = await puller.pull(1, expires_s=1.0)
    assert (end.end, end.received) == (End.FULL, 1)
    pulled = got[0]
    assert (pulled.subject, pulled.stream, pulled.consumer) == (SUBJECT, PAYLOADS, "transactional")
    assert (pulled.stream_sequence, pulled.num_delivered, pulled.pending) == (1, 1, 1)
    assert pulled.headers["traceparent"] == "t"
    assert before <= pulled.pulled_at <= time.monotonic()
    assert abs(pulled.at_ns / 1e9 - time.time()) < 60
    await puller.close()


async def test_a_pull_that_does_not_wait_takes_what_is_there(link: Link) -> None:
    """Nothing, or fewer than asked for, and ends at once."""
    got: list[Pulled] = []
    puller = await opened(link, got)
    assert (await puller.pull(5)).end is End.EMPTY
    await publish(link, 3)
    end = await puller.pull(5)
    assert (end.end, end.received) == (End.EMPTY, 3)
    await puller.close()


async def test_a_pull_that_waits_gets_what_comes(link: Link) -> None:
    """And ends empty when its time is over."""
    got: list[Pulled] = []
    puller = await opened(link, got)
    pulling = asyncio.ensure_future(puller.pull(1, expires_s=30.0))
    await publish(link, 1)
    assert (await asyncio.wait_for(pulling, 5)).end is End.FULL
    assert (await asyncio.wait_for(puller.pull(1, expires_s=0.1), 5)).end is End.EMPTY
    await puller.close()


async def test_bytes_bound_a_pull_but_never_shut_a_message_out(link: Link) -> None:
    """The bound is raised to hold the largest message there can be."""
    for number in range(3):
        await link.call(SUBJECT, b"x" * (5 << 20), headers={"Nats-Msg-Id": f"big/{number}"})
    got: list[Pulled] = []
    puller = await opened(link, got)
    end = await puller.pull(10, expires_s=2.0, max_bytes=1000)
    assert (end.end, end.received) == (End.FULL, 1)
    await puller.close()


async def test_no_consumer_is_told_at_once(link: Link) -> None:
    """Whether it never was or is deleted while a pull waits."""
    got: list[Pulled] = []
    puller = await opened(link, got, "nobody")
    assert (await asyncio.wait_for(puller.pull(1, expires_s=30.0), 5)).end is End.GONE
    await puller.close()
    puller = await opened(link, got)
    pulling = asyncio.ensure_future(puller.pull(1, expires_s=30.0))
    await eventually(lambda: is_waiting(link))
    await delete_consumer(link, PAYLOADS, "transactional")
    assert (await asyncio.wait_for(pulling, 5)).end is End.GONE
    await puller.close()


async def test_kill_in_mid_pull_ends_it_and_the_next_one_works(link: Link, nats_server: NatsServer) -> None:
    """Nothing stays parked at the dead server: the pull ends at once, and after the restart the rest
    comes."""
    await publish(link, 20)
    got: list[Pulled] = []
    puller = await opened(link, got)
    assert (await puller.pull(10, expires_s=1.0)).end is End.FULL
    for pulled in got:
        await link.ack_sync(pulled.reply)
    await puller.pull(10)
    pulling = asyncio.ensure_future(puller.pull(10, expires_s=60.0))
    await eventually(lambda: is_waiting(link))
    nats_server.kill()
    assert (await asyncio.wait_for(pulling, 10)).end is End.LOST
    assert (await puller.pull(1, expires_s=1.0)).end is End.LOST
    await nats_server.start()
    await asyncio.wait_for(link.until_connected(), 10)
    await link.call(SUBJECT, b"after", headers={"Nats-Msg-Id": "acme/after"})
    again: list[int] = []
    while not set(again) >= set(range(11, 22)):
        await asyncio.wait_for(puller.pull(10, expires_s=0.5), 10)
        again = [pulled.stream_sequence for pulled in got[20:]]
    assert min(again) == 11, "what was acknowledged never comes again"
    await puller.close()


async def test_a_lease_never_starts_after_its_delivery(link: Link, nats_server: NatsServer) -> None:
    """A message that an abandoned pull still brings is put down to that pull, not to the next one."""
    got: list[Pulled] = []
    puller = await opened(link, got)
    first = asyncio.ensure_future(puller.pull(1, expires_s=20.0))
    await link.api("INFO")
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    abandoned_at = time.monotonic()
    second = asyncio.ensure_future(puller.pull(1, expires_s=20.0))
    await link.api("INFO")
    await publish(link, 2)
    await asyncio.wait_for(second, 5)
    await eventually(lambda: len(got) == 2)
    assert got[0].pulled_at < abandoned_at <= got[1].pulled_at
    await puller.close()


async def test_closing_gives_back_what_was_under_way(link: Link) -> None:
    """A pull that waits ends; what comes in the meantime is handed out again at once, not after ack_wait."""
    got: list[Pulled] = []
    puller = await opened(link, got)
    pulling = asyncio.ensure_future(puller.pull(100, expires_s=60.0))
    await eventually(lambda: is_waiting(link))
    publishing = asyncio.ensure_future(publish(link, 100))
    await eventually(lambda: got)
    await asyncio.wait_for(puller.close(), 5)
    taken = len(got)
    assert (await pulling).end is End.LOST
    await publishing
    rest: list[Pulled] = []
    other = await opened(link, rest)
    started = time.monotonic()
    while len(rest) < 100 - taken:
        await asyncio.wait_for(other.pull(100, expires_s=0.2), 5)
    assert time.monotonic() - started < 1.5, "before ack_wait"
    assert len(got) == taken
    await other.close()


async def test_a_slow_receiver_holds_the_next_message_back(link: Link) -> None:
    """One that returns an awaitable is waited for."""
    await publish(link, 3)
    order: list[str] = []

    async def slowly(pulled: Pulled) -> None:
        order.append(f"begin {pulled.stream_sequence}")
        await link.api("INFO")
        order.append(f"end {pulled.stream_sequence}")

    puller = Puller(link, PAYLOADS, "transactional", slowly)
    await puller.open()
    await puller.pull(3, expires_s=2.0)
    await eventually(lambda: len(order) == 6)
    assert order == ["begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"]
    await puller.close()
