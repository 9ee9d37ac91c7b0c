"""Composing: chunks in, results back on the event loop.

Templates are hostile, so composing happens in processes that may die: each has a limit on memory and no
core file, each chunk an allowance of CPU time, a small multiple of what such a chunk takes, after which its worker
is killed. Invariants: every recipient of a chunk is answered exactly once while the composer runs, on the event
loop; one fails for a timeout or a crash only after it met it alone, so its neighbours are unhurt; no worker is lost
to its lane for much longer than an allowance, whatever a template does.

A chunk that died is tried again content by content, one after another; a content that dies alone is a suspect.
Its recipients, and those that come after them, go into quarantine (`mta.compose.quarantine`), which lanes share.
"""

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from functools import partial

from msgspec import msgpack

from mta.compose.job import Job
from mta.compose.pool import PoolUnusable, Work, WorkerPool
from mta.compose.process import JobFactory
from mta.compose.quarantine import Quarantine, failed, uninspected
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.compose.spec import Group, Inspection, Result, Sources, decode_results, encode_chunk
from mta.compose.suspects import Death, Next, Who, after_death, allowance_s, inspection_s, who_wrote

__all__ = ["Composer", "PoolUnusable"]

STALLED_S = 0.02
"""Without an answer, while there is work: more than a chunk of transactional mail takes."""

OnDone = Callable[[list[Result | None]], None]
OnLate = Callable[[int, Result], None]


class _Batch:
    """What was submitted at once, and what is known of it."""

    def __init__(self, size: int, on_done: OnDone, on_late: OnLate | None) -> None:
        self._results: list[Result | None] = [None] * size
        self._missing = size
        self._is_over = False
        self._is_done = False
        self._on_done = on_done
        self._on_late = on_late

    def give(self, place: int, result: Result) -> None:
        if self._is_done:
            assert self._on_late is not None
            self._on_late(place, result)
            return
        self._results[place] = result
        self._missing -= 1
        self._look()

    def end(self) -> None:
        """Whoever is missing is late."""
        self._is_over = True
        self._look()

    def _look(self) -> None:
        if self._is_over and (self._on_late is not None or not self._missing):
            self._is_done = True
            self._on_done(self._results)


class _Part:
    """Groups of a batch that go to a worker together. `first` is the place of the first recipient of each."""

    def __init__(self, batch: _Batch, groups: Sequence[Group], first: Sequence[int]) -> None:
        self.batch = batch
        self.groups = groups
        self.first = first
        self.deaths = 0

    def only(self, places: Sequence[int]) -> "_Part":
        """Of some of the groups."""
        part = _Part(self.batch, [self.groups[at] for at in places], [self.first[at] for at in places])
        part.deaths = self.deaths
        return part

    def give(self, results: Sequence[Result]) -> None:
        given = iter(results)
        for group, first in zip(self.groups, self.first, strict=True):
            for place in range(first, first + len(group.addressees)):
                self.batch.give(place, next(given))


class Composer:
    """`submit` chunks; their results come to the callback on the event loop. `job` is what runs in a worker.
    Composers of several lanes may share a `quarantine`: that of the one that has been given none."""

    def __init__(
        self,
        settings: ComposeSettings,
        keys: SigningKeys,
        *,
        job: JobFactory = Job,
        clock: Callable[[], float] = time.time,
        quarantine: Quarantine | None = None,
    ) -> None:
        self._timeout_s = settings.timeout_s
        self._clock = clock
        self._workers = settings.workers or os.cpu_count() or 1
        self._pool = WorkerPool(settings, keys, self._workers, job, settings.timeout_s)
        self._is_host = quarantine is None
        self.quarantine = quarantine or Quarantine(settings, keys, job=job, clock=clock)
        self._suspects = self.quarantine.suspects
        self._outstanding = 0

    @property
    def outstanding(self) -> int:
        """Chunks handed out that have not been through the workers."""
        return self._outstanding

    @property
    def workers(self) -> int:
        return self._workers

    @property
    def is_stalled(self) -> bool:
        """Whoever queues here now may have to wait until a worker has been killed."""
        return self._pool.stalled_s > STALLED_S

    async def start(self) -> None:
        """Returns when every worker has answered."""
        if self._is_host:
            self.quarantine.open()
        await self._pool.start()

    async def stop(self) -> None:
        """Kills the workers. Callbacks of what is outstanding are not called any more."""
        self._outstanding = 0
        if self._is_host:
            await self.quarantine.stop()
        await self._pool.stop()

    async def reload(self, keys: SigningKeys) -> None:
        """New keys for every chunk submitted from now on; what is in work ends with the old ones (K-10)."""
        await self._pool.reload(keys)
        if self._is_host:
            await self.quarantine.reload(keys)

    def submit(self, groups: Sequence[Group], on_done: Callable[[list[Result]], None]) -> None:
        """One result per recipient, in order, even across groups. Never calls back from within."""
        self.compose(groups, lambda results: on_done([one for one in results if one is not None]), None)

    def compose(self, groups: Sequence[Group], on_done: OnDone, on_late: OnLate | None) -> None:
        """As `submit`, but with None for a recipient that takes longer than others may wait for: its result comes
        by `on_late(place, result)`, after `on_done`."""
        first, size = [], 0
        for group in groups:
            first.append(size)
            size += len(group.addressees)
        batch = _Batch(size, on_done, on_late)
        whole = _Part(batch, groups, first)
        part, on_answer = whole, self._first_answer
        if self._suspects.are_about(self._now()):
            part, on_answer = self._without_suspects(whole), self._proving_answer
        self._outstanding += 1
        if part.groups:
            self._hand_out(part, partial(on_answer, part), partial(self._first_death, part))
        else:
            self._pool.running().call_soon(self._leave, batch)

    async def render(self, groups: Sequence[Group]) -> list[Result]:
        done: asyncio.Future[list[Result]] = self._pool.running().create_future()
        self.submit(groups, lambda results: None if done.done() else done.set_result(results))
        return await done

    async def inspect(self, sources: Sources) -> Inspection:
        """Compiles templates where they may do no harm, and lists the variables they want. PoolUnusable
        where that cannot be known now."""
        waiting: asyncio.Future[Inspection | None] = self._pool.running().create_future()

        def found(inspection: Inspection | None) -> None:
            if not waiting.done():
                waiting.set_result(inspection)

        who = who_wrote(sources)
        if self._suspects.is_suspect(who, self._now()):
            self.quarantine.inspect(sources, found)
        else:
            self._inspect(sources, who, found)
        inspection = await waiting
        if inspection is None:
            raise PoolUnusable("the templates cannot be looked at now")
        return inspection

    async def check(self, sources: Sources) -> list[str]:
        return (await self.inspect(sources)).problems

    def _inspect(
        self, sources: Sources, who: Who, found: Callable[[Inspection | None], None], deaths: int = 0
    ) -> None:
        def died(death: Death, detail: str) -> None:
            match after_death(death, 1, deaths):
                case Next.FAIL:
                    found(uninspected(death, detail))
                case Next.AGAIN:
                    self._inspect(sources, who, found, deaths + 1)
                case _:
                    self._suspects.strike(who, self._now())
                    self.quarantine.inspect(sources, found)

        self._pool.hand_out(
            Work(
                "inspect",
                msgpack.encode(sources),
                inspection_s(sources, self._timeout_s),
                self._timeout_s,
                lambda answer: found(msgpack.decode(answer, type=Inspection)),
                died,
            )
        )

    # A chunk, and what becomes of one that died.

    def _hand_out(
        self, part: _Part, on_answer: Callable[[bytes], None], on_death: Callable[[Death, str], None]
    ) -> None:
        blob = encode_chunk(part.groups, self._clock())
        cpu_s = allowance_s(part.groups, self._timeout_s)
        self._pool.hand_out(Work("compose", blob, cpu_s, self._timeout_s, on_answer, on_death))

    def _first_answer(self, part: _Part, answer: bytes) -> None:
        part.give(decode_results(answer))
        self._leave(part.batch)

    def _proving_answer(self, part: _Part, answer: bytes) -> None:
        """Who does well while others are suspected needs no proof if its tenant is."""
        now = self._now()
        for group in part.groups:
            self._suspects.passed(self._suspects.who(group.spec), now, len(group.addressees))
        self._first_answer(part, answer)

    def _first_death(self, part: _Part, death: Death, detail: str) -> None:
        """What is known of it holds before anybody submits the next."""
        self._died(part, [], death, detail)
        self._leave(part.batch)

    def _leave(self, batch: _Batch) -> None:
        self._outstanding -= 1
        batch.end()

    def _died(self, part: _Part, others: list[_Part], death: Death, detail: str) -> None:
        """`others` are parts of the same batch that wait for their turn."""
        match after_death(death, len(self._contents(part)), part.deaths):
            case Next.FAIL:
                part.give([result for group in part.groups for result in failed(group, death, detail)])
            case Next.SPLIT:
                others = self._split(part) + others
            case Next.AGAIN:
                part.deaths += 1
                others = [part, *others]
            case Next.QUARANTINE:
                if death is not Death.BUG:
                    self._suspects.strike(self._suspects.who(part.groups[0].spec), self._now())
                self._isolate(part)
        self._retry(others)

    def _retry(self, parts: list[_Part]) -> None:
        """In sequence: a hostile chunk then holds one worker, and others get the rest."""
        while parts:
            part, *parts = parts
            clean = self._without_suspects(part)
            if clean.groups:
                self._hand_out(
                    clean, partial(self._next_answer, clean, parts), partial(self._died, clean, parts)
                )
                return

    def _next_answer(self, part: _Part, others: list[_Part], answer: bytes) -> None:
        part.give(decode_results(answer))
        self._retry(others)

    def _contents(self, part: _Part) -> dict[Who, list[int]]:
        """Where the groups of each content stand."""
        found: dict[Who, list[int]] = {}
        for at, group in enumerate(part.groups):
            found.setdefault(self._suspects.who(group.spec), []).append(at)
        return found

    def _split(self, part: _Part) -> list[_Part]:
        return [part.only(places) for places in self._contents(part).values()]

    def _without_suspects(self, part: _Part) -> _Part:
        """What may go to the lane's workers; the rest goes into quarantine."""
        now = self._now()
        kept: list[int] = []
        for who, places in self._contents(part).items():
            if self._suspects.is_suspect(who, now):
                self._isolate(part.only(places))
            else:
                kept += places
        return part if len(kept) == len(part.groups) else part.only(kept)

    def _isolate(self, part: _Part) -> None:
        for group, first in zip(part.groups, part.first, strict=True):
            for place, addressee in enumerate(group.addressees, first):
                single = Group(group.spec, (addressee,))
                self.quarantine.try_one(single, partial(part.batch.give, place))

    def _now(self) -> float:
        return self._pool.running().time()
