"""Draws on the caps of sources that are warmed up, in MTA_CONTROL. What a cap is, and who may draw, is
`mta.pacing.warmup`'s business.

Nothing of NATS is on the path of a message: units are fetched before those in stock are used up. Only who is the first
of a day waits for an answer.
"""

import asyncio
import contextlib
from collections.abc import Callable

import structlog

from mta.jetstream.errors import Conflict, JetStreamError, JetStreamUnavailable
from mta.jetstream.kv import Bucket
from mta.pacing.warmup import Need, Warmups, WarmupState, decode_state, encode_state, grant

_TRIES = 20
_AGAIN_S = 1.0
_STOP_S = 2.0

log = structlog.get_logger()


class Warming:
    """`on_answer(source, provider)` is called when what was asked for is known, be it that there is nothing left."""

    def __init__(
        self,
        bucket: Bucket,
        warmups: Warmups,
        wall: Callable[[], float],
        on_answer: Callable[[str, str], None],
    ) -> None:
        self._bucket = bucket
        self._warmups = warmups
        self._wall = wall
        self._on_answer = on_answer
        self._asked: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._waiting: set[tuple[str, str]] = set()

    def want(self, source: str, provider: str) -> None:
        """More units, if some are needed. Called as often as one likes."""
        asked = (source, provider)
        if asked not in self._waiting and self._warmups.need(source, provider, self._wall()) is not None:
            self._waiting.add(asked)
            self._asked.put_nowait(asked)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            source, provider = await self._asked.get()
            need = self._warmups.need(source, provider, self._wall())
            if need is not None and not await self._is_answered(need):
                self._asked.put_nowait((source, provider))
                await asyncio.sleep(_AGAIN_S)
                continue
            self._waiting.discard((source, provider))
            self._on_answer(source, provider)

    async def give_back(self) -> None:
        """What was not spent, when the node stops. If that fails the day has a few less."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_STOP_S):
                for need in self._warmups.surplus(self._wall()):
                    await self._is_answered(need)

    async def _is_answered(self, need: Need) -> bool:
        try:
            state, units = await self._take(need)
        except JetStreamError as error:
            log.warning("warmup_unknown", source=need.source, provider=need.provider, error=str(error))
            return False
        self._warmups.granted(need, state, units)
        return True

    async def _take(self, need: Need) -> tuple[WarmupState, int]:
        """What the bucket holds then, and how many units of it are ours."""
        plan = self._warmups.plan(need.source, need.provider)
        assert plan is not None
        for _ in range(_TRIES):
            last = await self._bucket.last(need.key)
            before = decode_state(last.value if last is not None else None)
            after, units = grant(before, plan, need)
            if after == before:
                return after, 0
            try:
                sequence = last.sequence if last is not None else 0
                await self._bucket.replace(need.key, encode_state(after), sequence)
            except Conflict:
                continue
            return after, units
        raise JetStreamUnavailable(f"{need.key}: too many draw on it at once")
