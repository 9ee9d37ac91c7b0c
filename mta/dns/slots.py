"""How many look something up at once: few, so that no burst of questions overruns a name server or our socket; but who
gets no answer must not keep others from asking (C3), so whoever takes long steps aside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Slots:
    """`quick` at once that are not there for `aside_s` yet, `most` in all."""

    def __init__(self, quick: int, most: int, aside_s: float) -> None:
        self._quick = asyncio.Semaphore(quick)
        self._all = asyncio.Semaphore(most)
        self._aside_s = aside_s

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Waits for a slot, in order."""
        async with self._all:
            await self._quick.acquire()
            is_aside = False

            def step_aside() -> None:
                nonlocal is_aside
                is_aside = True
                self._quick.release()

            timer = asyncio.get_running_loop().call_later(self._aside_s, step_aside)
            try:
                yield
            finally:
                if not is_aside:
                    timer.cancel()
                    self._quick.release()
