import os

import pytest

from mta.jetstream.connection import Link
from mta.jetstream.errors import NotFound, Refused, TooLarge
from mta.jetstream.layout import OBJECTS
from mta.jetstream.objects import CHUNK_BYTES, ObjectStore

NAME = "attachments/terms-2026.pdf"


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 7])
async def test_what_was_put_is_got(link: Link, size: int) -> None:
    """Empty, one chunk, many."""
    store = ObjectStore(link, OBJECTS)
    data = os.urandom(size)
    info = await store.put(NAME, data)
    assert (info.size, info.chunks) == (size, -(-size // CHUNK_BYTES))
    assert await store.get(NAME, max_bytes=size) == data


async def test_a_newer_object_replaces_the_older(link: Link) -> None:
    """And its chunks are gone."""
    store = ObjectStore(link, OBJECTS)
    await store.put(NAME, b"old" * 100)
    await store.put(NAME, b"new")
    assert await store.get(NAME, max_bytes=100) == b"new"
    state = (await link.api(f"STREAM.INFO.OBJ_{OBJECTS}"))["state"]
    assert state["messages"] == 2


async def test_missing_and_deleted_objects_are_not_found(link: Link) -> None:
    """As a LookupError."""
    store = ObjectStore(link, OBJECTS)
    with pytest.raises(NotFound):
        await store.get(NAME, max_bytes=1)
    await store.put(NAME, b"x")
    await store.delete(NAME)
    await store.delete("never")
    with pytest.raises(LookupError):
        await store.get(NAME, max_bytes=1)


async def test_a_large_object_is_refused_before_it_is_read(link: Link) -> None:
    """By the size it says it has."""
    store = ObjectStore(link, OBJECTS)
    await store.put(NAME, b"x" * 100)
    with pytest.raises(TooLarge):
        await store.get(NAME, max_bytes=99)


async def test_an_object_that_lies_is_refused(link: Link) -> None:
    """Chunks missing, changed or too many; or a description that is none."""
    store = ObjectStore(link, OBJECTS)
    info = await store.put(NAME, b"x" * 100)
    chunks = f"$O.{OBJECTS}.C.{info.nuid}"
    await link.api(f"STREAM.PURGE.OBJ_{OBJECTS}", {"filter": chunks})
    with pytest.raises(Refused, match="do not add up"):
        await store.get(NAME, max_bytes=1000)
    await link.call(chunks, b"y" * 100)
    with pytest.raises(Refused, match="do not add up"):
        await store.get(NAME, max_bytes=1000)
    await link.api(f"STREAM.PURGE.OBJ_{OBJECTS}", {"filter": chunks})
    await link.call(chunks, b"x" * 500)
    with pytest.raises(Refused, match="do not add up"):
        await store.get(NAME, max_bytes=1000)
    await link.call(f"$O.{OBJECTS}.M.b2Rk", b"not json")
    with pytest.raises(Refused, match="unreadable"):
        await store.get("odd", max_bytes=1000)
