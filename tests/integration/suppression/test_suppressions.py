import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mta.jetstream.connection import Link
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import SUPPRESSION
from mta.model.lane import Lane
from mta.model.suppression import Mark, SuppressReason
from mta.model.times import render
from mta.suppression.image import load
from mta.suppression.key import mark_key
from mta.suppression.settings import AddressForm, SuppressionSettings
from mta.suppression.store import MarkStore, decode
from mta.suppression.suppressions import Suppressions
from tests.fakes.nats import NatsServer, eventually, running

R = SuppressReason
NOW = 1_800_000_000.0


def mark(reason: SuppressReason, **more: str) -> Mark:
    return Mark(reason, render(NOW), "test", **more)


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@asynccontextmanager
async def knowing(link: Link, file: Path | None = None, **settings: object) -> AsyncIterator[Suppressions]:
    one = Suppressions(
        Bucket(link, SUPPRESSION),
        SuppressionSettings(**settings),  # type: ignore[arg-type]
        file,
        wall=Clock(),
    )
    async with running(one.run()):
        await asyncio.wait_for(one.until_known(), 10)
        yield one
    await one.close()


async def test_what_one_node_adds_all_know(link: Link) -> None:
    """At once where it was added, soon everywhere else; of that tenant only."""
    async with knowing(link) as one, knowing(link) as other:
        await one.add("acme", "Bob@example.test", mark(R.INVALID_RECIPIENT))
        assert one.reason("acme", "bob@example.test") is R.INVALID_RECIPIENT
        assert one.reason("other", "bob@example.test") is None
        assert one.reason("acme", "rob@example.test") is None
        await eventually(lambda: other.reason("acme", "BOB@example.test") is R.INVALID_RECIPIENT)


async def test_a_stream_left_leaves_the_others(link: Link) -> None:
    """And a domain's mark counts for each address of it."""
    async with knowing(link) as one:
        await one.add("acme", "bob@example.test", mark(R.UNSUBSCRIBED), "news")
        await one.add("acme", "eve@example.test", mark(R.UNSUBSCRIBED), "_")
        await one.add("acme", "@gone.test", mark(R.INVALID_DOMAIN))
        assert one.reason("acme", "bob@example.test", "news") is R.UNSUBSCRIBED
        assert one.reason("acme", "bob@example.test", "receipts") is None
        assert one.reason("acme", "bob@example.test", "") is None
        assert one.reason("acme", "eve@example.test", "", Lane.BULK) is R.UNSUBSCRIBED
        assert one.reason("acme", "eve@example.test", "", Lane.TRANSACTIONAL) is None
        assert one.reason("acme", "anybody@gone.test", "receipts") is R.INVALID_DOMAIN
        assert one.reason("acme", "anybody@still.test") is None


async def test_who_has_left_is_who_said_so(link: Link) -> None:
    """By unsubscribing from that stream, or a complaint; a full mailbox is no wish of anybody."""
    async with knowing(link) as one:
        await one.add("acme", "bob@example.test", mark(R.UNSUBSCRIBED), "news")
        await one.add("acme", "eve@example.test", mark(R.UNSUBSCRIBED), "_")
        await one.add("acme", "cat@example.test", mark(R.COMPLAINED))
        await one.add("acme", "dan@example.test", mark(R.MAILBOX_FULL))
        assert one.has_left("acme", "BOB@example.test", "news")
        assert not one.has_left("acme", "bob@example.test", "receipts")
        assert not one.has_left("other", "bob@example.test", "news")
        assert one.has_left("acme", "eve@example.test", "")
        assert one.has_left("acme", "cat@example.test", "news")
        assert not one.has_left("acme", "dan@example.test", "news")


async def test_who_may_skip_skips_no_complaint(link: Link) -> None:
    """Not even one beside a mark of less weight in another scope."""
    async with knowing(link) as one:
        await one.add("acme", "a@example.test", mark(R.INVALID_RECIPIENT))
        await one.add("acme", "b@example.test", mark(R.UNSUBSCRIBED), "news")
        await one.add("acme", "b@example.test", mark(R.COMPLAINED))
        skipping = one.scope("acme", "news", Lane.BULK, skips=True)
        strict = one.scope("acme", "news", Lane.BULK)
        assert skipping is not None
        assert strict is not None
        assert skipping.reason("a@example.test", "example.test", NOW) is None
        assert skipping.reason("b@example.test", "example.test", NOW) is R.COMPLAINED
        assert strict.reason("a@example.test", "example.test", NOW) is R.INVALID_RECIPIENT


async def test_more_weight_stays(link: Link) -> None:
    """Two who add at the same moment leave the heavier mark, in the bucket and in memory."""
    async with knowing(link) as one, knowing(link) as other:
        await asyncio.gather(
            *(each.add("acme", "bob@example.test", mark(reason)) for reason in R for each in (one, other))
        )
        kept = await MarkStore(Bucket(link, SUPPRESSION)).get(mark_key("acme", "bob@example.test"))
        assert kept is not None
        assert kept.mark.reason is R.COMPLAINED
        for each in (one, other):
            await eventually(lambda each=each: each.reason("acme", "bob@example.test") is R.COMPLAINED)


async def test_removed_it_may_be_added_again(link: Link) -> None:
    """The marker of a deletion is no mark; a mark that changed meanwhile is not removed."""
    store, key = MarkStore(Bucket(link, SUPPRESSION)), mark_key("acme", "bob@example.test")
    async with knowing(link) as one:
        first = await store.add(key, mark(R.MANUAL), NOW)
        second = await store.add(key, mark(R.COMPLAINED), NOW)
        assert not await store.remove(key, first)
        assert await store.remove(key, second)
        assert await store.get(key) is None
        await eventually(lambda: one.reason("acme", "bob@example.test") is None)
        assert (await store.add(key, mark(R.MANUAL), NOW)).is_new
        assert not (await store.add(key, mark(R.MANUAL), NOW)).is_new
        await eventually(lambda: one.reason("acme", "bob@example.test") is R.MANUAL)


async def test_it_ends_by_its_own_clock(link: Link) -> None:
    """The time it holds is of the configuration; the bucket lets go of it, too."""
    async with knowing(link, mailbox_full_s=3600.0) as one:
        await one.add("acme", "bob@example.test", mark(R.MAILBOX_FULL))
        stored = await link.last_message(
            f"KV_{SUPPRESSION}", f"$KV.{SUPPRESSION}.{mark_key('acme', 'bob@example.test')}"
        )
        assert stored is not None
        assert stored.headers["Nats-TTL"] == "3600s"
        assert decode(stored.data).expires_at == render(NOW + 3600)
        assert one.reason("acme", "bob@example.test") is R.MAILBOX_FULL
        one._wall.now += 3600  # type: ignore[attr-defined]
        assert one.reason("acme", "bob@example.test") is None


async def test_where_only_hashes_are_kept_no_address_is_stored(link: Link) -> None:
    """It suppresses all the same."""
    bucket = Bucket(link, SUPPRESSION)
    async with knowing(link, addresses=AddressForm.HASH) as one:
        await one.add("acme", "bob@example.test", mark(R.MANUAL, address="bob@example.test"))
        entry = await bucket.get(mark_key("acme", "bob@example.test"), leader=True)
        assert entry is not None
        assert b"bob" not in entry.value
        assert one.reason("acme", "bob@example.test") is R.MANUAL


async def test_a_restart_reads_what_is_new(link: Link, tmp_path: Path) -> None:
    """The rest is in the file; what was removed meanwhile is removed."""
    file, store = tmp_path / "suppression.bin", MarkStore(Bucket(link, SUPPRESSION))
    async with knowing(link, file) as one:
        for name in ("a", "b"):
            await one.add("acme", f"{name}@example.test", mark(R.MANUAL))
    assert file.stat().st_mode & 0o777 == 0o600
    gone = await store.get(mark_key("acme", "a@example.test"))
    assert gone is not None
    await store.remove(mark_key("acme", "a@example.test"), gone)
    await store.add(mark_key("acme", "c@example.test"), mark(R.MANUAL), NOW)
    heard: list[str] = []
    again = Suppressions(Bucket(link, SUPPRESSION), SuppressionSettings(), file)
    usual = again._changed
    again._changed = lambda change: (heard.append(change.key), usual(change))[1]  # type: ignore[method-assign]
    async with running(again.run()):
        await asyncio.wait_for(again.until_known(), 10)
        assert [again.reason("acme", f"{name}@example.test") for name in "abc"] == [None, R.MANUAL, R.MANUAL]
    # Its own last mark it may not have heard of yet when it was ended.
    assert heard[-2:] == [mark_key("acme", "a@example.test"), mark_key("acme", "c@example.test")]
    assert len(heard) <= 3


async def test_a_file_that_cannot_be_believed_is_read_anew(link: Link, tmp_path: Path) -> None:
    """Torn, foreign, empty, or of another bucket: the bucket is the truth."""
    file = tmp_path / "suppression.bin"
    async with knowing(link, file) as one:
        await one.add("acme", "a@example.test", mark(R.MANUAL))
    whole = file.read_bytes()
    for content in (b"", whole[:-1], whole[:200] + b"\1" + whole[201:], b"x" * len(whole)):
        file.write_bytes(content)
        async with knowing(link, file) as one:
            assert one.reason("acme", "a@example.test") is R.MANUAL
        assert len(load(file)[0]) == 1
    bucket = f"STREAM.DELETE.KV_{SUPPRESSION}"
    config = (await link.api(f"STREAM.INFO.KV_{SUPPRESSION}"))["config"]
    await link.api(bucket)
    await link.api(f"STREAM.CREATE.KV_{SUPPRESSION}", config)
    for name in ("b", "c", "d"):
        await MarkStore(Bucket(link, SUPPRESSION)).add(
            mark_key("acme", f"{name}@example.test"), mark(R.MANUAL), NOW
        )
    async with knowing(link, file) as one:
        assert one.reason("acme", "a@example.test") is None
        assert one.reason("acme", "b@example.test") is R.MANUAL


async def test_it_goes_on_after_a_kill_of_the_server(link: Link, nats_server: NatsServer) -> None:
    """What others add afterwards is heard."""
    async with knowing(link) as one:
        await one.add("acme", "a@example.test", mark(R.MANUAL))
        nats_server.kill()
        await nats_server.start()
        await asyncio.wait_for(link.until_connected(), 10)
        await MarkStore(Bucket(link, SUPPRESSION)).add(
            mark_key("acme", "b@example.test"), mark(R.MANUAL), NOW
        )
        await eventually(lambda: one.reason("acme", "b@example.test") is R.MANUAL)
        assert one.reason("acme", "a@example.test") is R.MANUAL
