"""How many look something up at once, where some of them hang."""

import asyncio
import contextlib

from mta.dns.slots import Slots
from tests.fakes.nats import eventually


class Inside:
    """Who is in, and what lets everybody out."""

    def __init__(self, slots: Slots) -> None:
        self.slots = slots
        self.now = self.most = self.done = 0
        self.out = asyncio.Event()

    async def enter(self) -> None:
        async with self.slots.taken():
            self.now += 1
            self.most = max(self.most, self.now)
            await self.out.wait()
            self.now -= 1
            self.done += 1


async def test_so_many_at_once() -> None:
    """The others wait, and come in when one leaves."""
    inside = Inside(Slots(quick=2, most=10, aside_s=60.0))
    tasks = [asyncio.create_task(inside.enter()) for _ in range(5)]
    for _ in range(5):
        await asyncio.sleep(0)
    assert inside.now == 2
    inside.out.set()
    await asyncio.gather(*tasks)
    assert (inside.most, inside.done) == (2, 5)


async def test_who_hangs_steps_aside() -> None:
    """C3: after a while they count no more among the quick, until too many hang; then all wait."""
    inside = Inside(Slots(quick=2, most=5, aside_s=0.05))
    tasks = [asyncio.create_task(inside.enter()) for _ in range(8)]
    await eventually(lambda: inside.now == 5)
    inside.out.set()
    await asyncio.gather(*tasks)
    assert (inside.most, inside.done) == (5, 8)


async def test_each_slot_comes_back_once() -> None:
    """However one leaves, soon or late, in order or not."""
    slots = Slots(quick=2, most=4, aside_s=0.02)
    for wait_s in (0.0, 0.05):
        with contextlib.suppress(KeyError):
            async with slots.taken():
                await asyncio.sleep(wait_s)
                raise KeyError
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s + 0.01), slots.taken():
                await asyncio.sleep(60)
    inside = Inside(slots)
    tasks = [asyncio.create_task(inside.enter()) for _ in range(3)]
    for _ in range(3):
        await asyncio.sleep(0)
    assert inside.now == 2
    inside.out.set()
    await asyncio.gather(*tasks)
