import asyncio
import time

import pytest

from mta.jetstream.connection import Link
from mta.jetstream.errors import Conflict, NotFound
from mta.jetstream.kv import Bucket, Change, Entry, Place
from mta.jetstream.layout import CONTROL, SUPPRESSION, TEMPLATES
from mta.jetstream.subjects import kv_key
from tests.fakes.nats import NatsServer, eventually, running


async def test_put_get_delete(link: Link) -> None:
    """The last value counts; a deleted key has none, nor has one that never was."""
    bucket = Bucket(link, CONTROL)
    assert await bucket.get("a") is None
    await bucket.put("a", b"1")
    sequence = await bucket.put("a", b"2")
    for leader in (False, True):
        assert await bucket.get("a", leader=leader) == Entry("a", b"2", sequence)
    await bucket.delete("a")
    await bucket.delete("never")
    assert await bucket.get("a") is None


async def test_only_one_creates(link: Link) -> None:
    """Of many at once one wins, and after a deletion again one."""
    bucket = Bucket(link, CONTROL)
    assert sorted(await asyncio.gather(*(bucket.create("k", b"%d" % n) for n in range(5)))) == [0, 0, 0, 0, 1]
    await bucket.delete("k")
    assert sorted(await asyncio.gather(*(bucket.create("k", b"%d" % n) for n in range(5)))) == [0, 0, 0, 0, 1]


async def test_a_value_replaces_only_the_one_it_was_made_from(link: Link) -> None:
    """The marker of a deletion has a sequence, too."""
    bucket = Bucket(link, SUPPRESSION)
    assert await bucket.last("a") is None
    first = await bucket.replace("a", b"1", 0)
    with pytest.raises(Conflict):
        await bucket.replace("a", b"2", 0)
    second = await bucket.replace("a", b"2", first)
    assert await bucket.last("a") == Change("a", b"2", second)
    with pytest.raises(Conflict):
        await bucket.delete("a", first)
    await bucket.delete("a", second)
    gone = await bucket.last("a")
    assert gone is not None
    assert gone.value is None
    assert abs(gone.removed_at - time.time()) < 60.0
    await bucket.replace("a", b"3", gone.sequence, ttl_s=1.0)

    async def has_expired() -> bool:
        return await bucket.get("a", leader=True) is None

    await eventually(has_expired)


async def test_all_are_created_or_none(link: Link) -> None:
    """One key that is taken refuses the whole batch."""
    bucket = Bucket(link, SUPPRESSION)
    await bucket.create_all([(f"k{n}", b"%d" % n, 0.0) for n in range(1_000)], "one")
    with pytest.raises(Conflict):
        await bucket.create_all([("new", b"", 0.0), ("k7", b"", 0.0), ("other", b"", 0.0)], "two")
    await bucket.create_all([("single", b"x", 60.0)], "three")
    assert len(await bucket.keys()) == 1_001
    found: list[Change] = []
    await bucket.each(found.append)
    assert [(one.key, one.value) for one in found[:3]] == [("k0", b"0"), ("k1", b"1"), ("k2", b"2")]


async def test_a_watcher_goes_on_from_where_another_was(link: Link) -> None:
    """In the same bucket only; of another one of that name it hears everything, and that it is another."""
    bucket = Bucket(link, SUPPRESSION)
    sequence = await bucket.put("a", b"1")
    await bucket.put("b", b"2")
    born = (await link.api(f"STREAM.INFO.KV_{SUPPRESSION}"))["created"]
    for after, keys, anew in (
        (Place(sequence, born), ["b"], []),
        (Place(sequence, "2001-01-01T00:00:00Z"), ["a", "b"], [born]),
        (Place(9, born), ["a", "b"], [born]),
        (None, ["a", "b"], [born]),
    ):
        heard: list[str] = []
        begun: list[str] = []
        loaded = asyncio.Event()
        watching = bucket.watch(
            lambda change, heard=heard: heard.append(change.key),
            on_loaded=loaded.set,
            after=after,
            on_anew=begun.append,
        )
        async with running(watching):
            await asyncio.wait_for(loaded.wait(), 10)
        assert (heard, begun) == (keys, anew)


async def test_keys_are_listed_by_prefix(link: Link) -> None:
    """Whole tokens, without the deleted, sorted; escaped ones as they are."""
    bucket = Bucket(link, TEMPLATES)
    assert await bucket.keys() == []
    odd = kv_key("acme", "Spring Sale", "7")
    for key in ("acme.b.1", "acme.a.1", odd, "acmes.c.1", "acme.gone.1"):
        await bucket.put(key, b"x" * 1000)
    await bucket.delete("acme.gone.1")
    assert await bucket.keys("acme") == sorted(["acme.a.1", "acme.b.1", odd])
    assert len(await bucket.keys()) == 4
    assert await bucket.keys("nobody") == []


async def test_more_keys_than_one_pull_brings(link: Link) -> None:
    """All of them."""
    bucket = Bucket(link, TEMPLATES)
    await asyncio.gather(*(bucket.put(f"acme.{n}.1", b"") for n in range(1200)))
    assert len(await bucket.keys("acme")) == 1200


async def test_a_watcher_hears_what_is_and_what_comes(link: Link) -> None:
    """First every value, then word that this was all, then each change."""
    bucket = Bucket(link, CONTROL)
    await bucket.put("a", b"1")
    await bucket.put("b", b"2")
    heard: list[tuple[str, bytes | None] | None] = []

    def note(change: Change) -> None:
        heard.append((change.key, change.value))

    async with running(bucket.watch(note, on_loaded=lambda: heard.append(None))):
        await eventually(lambda: len(heard) == 3)
        assert heard == [("a", b"1"), ("b", b"2"), None]
        await bucket.put("c", b"3")
        await bucket.delete("a")
        await eventually(lambda: heard[3:] == [("c", b"3"), ("a", None)])


async def test_an_empty_bucket_is_loaded_at_once(link: Link) -> None:
    """Nobody waits for a first value."""
    loaded: list[bool] = []
    async with running(Bucket(link, CONTROL).watch(lambda _: None, on_loaded=lambda: loaded.append(True))):
        await eventually(lambda: loaded)


async def test_a_watcher_goes_on_after_a_kill(link: Link, nats_server: NatsServer) -> None:
    """It hears what changed meanwhile, and nothing twice."""
    bucket = Bucket(link, CONTROL)
    heard: list[tuple[str, bytes | None]] = []
    loaded: list[bool] = []
    watching = bucket.watch(lambda c: heard.append((c.key, c.value)), on_loaded=lambda: loaded.append(True))
    async with running(watching):
        await bucket.put("a", b"1")
        await eventually(lambda: heard)
        nats_server.kill()
        await nats_server.start()
        await asyncio.wait_for(link.until_connected(), 10)
        await bucket.put("b", b"2")
        await eventually(lambda: len(heard) == 2)
        nats_server.stop()
        await nats_server.start()
        await asyncio.wait_for(link.until_connected(), 10)
        await bucket.delete("a")
        await eventually(lambda: len(heard) == 3)
    assert heard == [("a", b"1"), ("b", b"2"), ("a", None)]
    assert loaded == [True]


async def test_no_bucket_is_an_error(link: Link) -> None:
    """Not an empty one."""
    with pytest.raises(NotFound):
        await Bucket(link, "NOTHING").keys()
    with pytest.raises(NotFound):
        await Bucket(link, "NOTHING").get("a", leader=True)
