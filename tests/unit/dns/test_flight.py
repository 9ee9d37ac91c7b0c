"""One lookup for all who ask at once."""

import asyncio

import pytest

from mta.dns.flight import joined, shared


class Slow:
    """A lookup that ends when it is let go."""

    def __init__(self) -> None:
        self.begun = 0
        self.has_begun = asyncio.Event()
        self.may_end = asyncio.Event()

    async def look(self, name: str) -> str:
        self.begun += 1
        self.has_begun.set()
        await self.may_end.wait()
        return name.upper()


async def test_a_hundred_askers_share_one_lookup() -> None:
    """All get the one result, and when it is there the next asker begins anew."""
    slow = Slow()
    running: dict[str, asyncio.Task[str]] = {}
    askers = [asyncio.create_task(shared(running, "a", "x", slow.look)) for _ in range(100)]
    slow.may_end.set()
    assert await asyncio.gather(*askers) == ["A"] * 100
    assert slow.begun == 1
    assert running == {}
    await shared(running, "a", "x", slow.look)
    assert slow.begun == 2


async def test_a_lookup_outlives_the_one_who_asked_first() -> None:
    """Who gives up waiting takes nothing from the others."""
    slow = Slow()
    running: dict[str, asyncio.Task[str]] = {}
    first = asyncio.create_task(shared(running, "a", "x", slow.look))
    await slow.has_begun.wait()
    second = joined(running, "a", "x", slow.look)
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    slow.may_end.set()
    assert await second == "A"
