"""The email channel: routes references to paths, has them composed in time, and hands them to connections.

Composing follows demand: a path that can send asks for messages, and what it asks for is gathered over all such
paths into chunks for the workers. Transactional references have workers of their own (`express`), so they never wait
behind a bulk chunk; where those are busy they use the others too, and wait there for at most one.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine, Iterable, Sequence
from random import Random
from typing import Any

import structlog

from mta.classify.classifier import Classifier
from mta.compose.settings import ComposeSettings
from mta.compose.spec import CHUNK_BYTES, Composed, ComposeFailed, Group, Result
from mta.compose.suspects import CROWDED
from mta.compose.workers import Composer
from mta.delivery import attempt as attempts
from mta.delivery.around import Around
from mta.delivery.binding import Standing
from mta.delivery.dry_run import Rehearsal
from mta.delivery.egress import SUSPENDED, Asking, Chosen, Egress, Held
from mta.delivery.holding import Holding
from mta.delivery.hosts import HostMemory
from mta.delivery.observing import observed
from mta.delivery.parking import least_parked_s, parked, suspended
from mta.delivery.pool import PathPool
from mta.delivery.reference import Reference, Settlement
from mta.delivery.router import NoRoute, Route, Router
from mta.delivery.security import insecure_way, secured
from mta.model.lane import Lane
from mta.model.path import EgressPath, Site
from mta.model.tls import TlsSession
from mta.pacing.automation import Observation
from mta.pacing.governors import Governors
from mta.queue.lanes import LaneShare
from mta.queue.settings import Fairness, HoldSettings
from mta.queue.throttle import Lately

_TRANSACTIONAL_CHUNK = 8  # of a backlog; a single message goes alone at once
_FORGET_UNUSED_S, _LOOKED_AT = 15.0, 500  # seconds in which all paths are looked at, so many in one piece

Ref = Reference[Any]
Wanting = PathPool | Rehearsal
log = structlog.get_logger()


class EmailChannel:
    """A `Channel`. `run` first, in the owner's task group. While `may_send` says no, nothing new is begun.
    `on_refused` is told of each attempt that was, mail whose sender is held by an action is parked.
    `on_tls_session` is told of every session and domain, for reports; None: nobody wants to know."""

    def __init__(
        self,
        composer: Composer,
        express: Composer,
        router: Router,
        egress: Egress,
        compose: ComposeSettings,
        hold: HoldSettings,
        classifier: Classifier,
        *,
        in_hand_s: float,
        rng: Random,
        may_send: Callable[[], bool],
        on_settled: Callable[[Ref, Settlement], None],
        tell_operators: Callable[..., None],
        governors: Governors,
        on_refused: Callable[[Observation], None],
        fair: Fairness,
        on_tls_session: Callable[[TlsSession], None] | None = None,
    ) -> None:
        self._composer = composer
        self._express = express
        self._router = router
        self._egress = egress
        self._chunk = compose.chunk
        self._hold = hold
        self._in_hand_s = in_hand_s
        self._rng = rng
        self._on_settled = on_settled
        self._holding = Holding(governors.actions, rng)
        self._around = Around(
            hosts=HostMemory(),
            classifier=classifier,
            rng=rng,
            spawn=self._spawn,
            may_send=may_send,
            on_settled=observed(self._on_tried, on_refused),
            on_hungry=self._note_hungry,
            is_moved=self._is_moved,
            on_policy_failed=self._doubt_policy,
            tell_operators=tell_operators,
            governors=governors,
            on_tls_session=on_tls_session,
            fair=fair,
        )
        self._share = LaneShare(fair.bulk_share)
        self._paths: dict[EgressPath, PathPool] = {}
        self._laden: set[PathPool] = set()
        """Those where something may wait: of many thousands that are remembered most are empty."""
        self._hungry: dict[Lane, OrderedDict[Wanting, None]] = {lane: OrderedDict() for lane in Lane}
        """In turn; who turns out to want nothing is dropped when his turn comes: nobody looks at all of them."""
        self._rehearsal = Rehearsal(
            fair=fair, wall=time.time, on_settled=on_settled, on_hungry=self._note_hungry
        )
        self._unrouted: dict[Lane, dict[str, list[Ref]]] = {lane: {} for lane in Lane}
        self._asking: dict[tuple[str, str], list[Ref]] = {}
        """Who waits for a unit of a source's warm-up at a provider."""
        self._routed = Lately(asyncio.get_running_loop().time())
        self._feed_is_due = False
        self._is_draining = False
        self._group: asyncio.TaskGroup | None = None
        self._loop = asyncio.get_running_loop()

    # -- in -----------------------------------------------------------------------------------------------------

    def submit(self, references: Iterable[Ref]) -> None:
        if self._is_draining:  # their owner hands them back
            return
        touched: dict[Wanting, None] = {}
        for ref in references:
            if ref.is_dry_run:
                self._rehearsal.put(ref)
                touched[self._rehearsal] = None
                continue
            route = self._router.look_up(ref.domain)
            if route is not None:
                self._take(ref, route, touched)
                continue
            unrouted = self._unrouted[ref.lane]
            waiting = unrouted.get(ref.domain)
            if waiting is not None:
                waiting.append(ref)
                continue
            unrouted[ref.domain] = [ref]
            self._spawn(self._resolve(ref.domain, ref.lane), f"route {ref.domain}")
        self._turn(touched)

    def withdraw(self, references: Iterable[Ref]) -> list[Ref]:
        taken = [ref for ref in references if not ref.is_settled and not ref.is_on_wire]
        for ref in taken:
            ref.is_settled = True
            ref.envelope = None
            self._egress.give_back(ref)
        return taken

    def hold(self, references: Iterable[Ref]) -> None:
        for ref in references:
            is_waiting = not ref.is_settled and not ref.is_on_wire
            if is_waiting and ref.path is not None:
                held = self._holding.parked(ref, ref.path)
                if held is not None:
                    ref.envelope = None
                    self._settle(ref, held)

    def look_again(self) -> None:
        self._around.governors.wake()
        for pool in self._laden:
            pool.wake()

    def sendable(self, lane: Lane) -> int:
        """Of those that wait for DNS as many as it answers about in that time: where it hangs they keep nobody out."""
        self._laden = {pool for pool in self._laden if pool.has_waiting}
        routed = sum(pool.sendable(lane, self._in_hand_s) for pool in self._laden)
        unrouted = sum(map(len, self._unrouted[lane].values()))
        in_half_a_second = self._routed.count(self._loop.time())
        return routed + min(unrouted, int(2 * in_half_a_second * self._in_hand_s))

    def resume(self) -> None:
        """`may_send` says yes again, or a permit that was withheld may be given now."""
        for pool in self._paths.values():
            pool.resume()

    def standings(self) -> list[Standing]:
        """Of the paths where something waits."""
        return [pool.standing() for pool in self._laden if pool.has_waiting]

    async def _resolve(self, domain: str, lane: Lane) -> None:
        route = await self._router.resolve(domain, is_urgent=lane is Lane.TRANSACTIONAL)
        touched: dict[Wanting, None] = {}
        for ref in self._unrouted[lane].pop(domain):
            self._routed.note()
            if not ref.is_settled and not self._is_draining:
                self._take(ref, route, touched)
        self._turn(touched)

    def _doubt_policy(self, domain: str) -> None:
        self._spawn(self._router.recheck(domain), f"policy of {domain}")

    def _take(self, ref: Ref, route: Route, touched: dict[Wanting, None]) -> None:
        if isinstance(route, NoRoute):
            self._settle(ref, attempts.not_routed(ref.attempt + 1, time.time(), route))
        else:
            self._enqueue(ref, route, touched)

    def _turn(self, touched: Iterable[Wanting]) -> None:
        """At once, not at the next turn of the loop: under load that is milliseconds away."""
        for pool in touched:
            pool.turn()
        if any(self._hungry.values()):
            self._feed()

    def _enqueue(self, ref: Ref, site: Site, touched: dict[Wanting, None]) -> None:
        ref.provider, ref.sts = site.provider, site.sts
        security = secured(site, ref.tls, ignores_policy=ref.spec.waives_tls)
        if fault := insecure_way(security):
            self._settle(ref, attempts.not_secured(ref.attempt + 1, time.time(), site, fault))
            return
        choice = self._egress.choose(ref, site)
        if choice is None:
            detail = f"pool {ref.pool or '(none)'} is not configured any more"
            self._settle(ref, attempts.misconfigured(ref.attempt + 1, time.time(), detail))
            return
        match choice:
            case Asking(source=name):
                self._asking.setdefault((name, site.provider), []).append(ref)
                return
            case Held(until=until, reason=reason):
                park = suspended if reason == SUSPENDED else parked
                self._settle(ref, park(ref, until - time.time(), reason, self._rng))
                return
            case Chosen(source=source):
                pass
        path = ref.path = EgressPath(source.name, site.name, security)
        if (held := self._holding.parked(ref, path)) is not None:
            self._settle(ref, held)
            return
        pool = self._paths.get(path)
        if pool is None:
            pool = self._paths[path] = PathPool(
                path,
                site,
                source,
                self._router.settings(source.name, site),
                self._hold,
                self._around,
            )
        ref.pacing = pool.settings
        pool.follow(site)
        pool.put(ref)
        self._laden.add(pool)
        touched[pool] = None

    def _is_moved(self, path: EgressPath, provider: str, references: list[Ref]) -> bool:
        """Where an action suspends the source there, a choice is made anew; it parks who finds no other."""
        now = time.time()
        if self._around.governors.actions.curb(path.source, provider, path.site, now).until <= now:
            return False
        self._loop.call_soon(self.submit, references)
        return True

    def on_units(self, source: str, provider: str) -> None:
        """It is known what a source has left of its warm-up at a provider."""
        self.submit(ref for ref in self._asking.pop((source, provider), ()) if not ref.is_settled)

    def _settle(self, ref: Ref, settlement: Settlement) -> None:
        ref.is_settled = True
        self._on_tried(ref, settlement)

    def _on_tried(self, ref: Ref, settlement: Settlement) -> None:
        if ref.counted_at:
            self._egress.note(ref, settlement)
        self._on_settled(ref, settlement)

    # -- composing ----------------------------------------------------------------------------------------------

    def _note_hungry(self, pool: Wanting) -> None:
        for hungry in self._hungry.values():
            hungry[pool] = None
        if not self._feed_is_due:
            self._feed_is_due = True
            self._loop.call_soon(self._feed)

    def _feed(self) -> None:
        self._feed_is_due = False
        if self._is_draining:
            return
        while self._feed_one():
            pass

    def _feed_one(self) -> bool:
        """One chunk, if a composer is free and somebody wants it. Where transactional mail uses the workers of all,
        bulk keeps its share of them."""
        lanes = (Lane.TRANSACTIONAL, Lane.BULK)
        for lane in reversed(lanes) if self._share.is_bulk_due else lanes:
            composer = self._free_composer(lane)
            if composer is None:
                continue
            gathered = self._gather(lane, self._chunk if lane is Lane.BULK else _TRANSACTIONAL_CHUNK)
            if gathered:
                self._compose(composer, gathered)
                if composer is self._composer:
                    self._share.note(lane, len(gathered))
                return True
            self._share.forgive()
        return False

    def _free_composer(self, lane: Lane) -> Composer | None:
        """Who takes a chunk of this lane now. Transactional has workers of its own and may use the others as well,
        where its own are busy or held up; a bulk chunk waits for at most one other, so that what comes after it is
        not far behind."""
        has_room = self._composer.outstanding <= self._composer.workers
        if lane is Lane.TRANSACTIONAL and self._express.outstanding < 2 * self._express.workers:
            return self._composer if has_room and self._express.is_stalled else self._express
        return self._composer if has_room else None

    def _gather(self, lane: Lane, most: int) -> list[tuple[Wanting, Ref]]:
        """Up to `most` references of the paths that want some, the paths in turn; fewer where content is large."""
        gathered: list[tuple[Wanting, Ref]] = []
        size, largest = 0, CHUNK_BYTES
        hungry = self._hungry[lane]
        for _ in range(len(hungry)):
            pool, _ = hungry.popitem(last=False)
            while size < CHUNK_BYTES:
                room = min(most - len(gathered), max(1, (CHUNK_BYTES - size) // largest))
                taken = pool.take_to_compose(min(pool.wants(lane), room), lane)
                if not taken:
                    break
                sizes = [len(ref.spec.blob) for ref in taken]
                size += sum(sizes)
                largest = max(sizes) if not gathered else max(largest, *sizes)
                gathered += [(pool, ref) for ref in taken]
            if pool.wants(lane):
                hungry[pool] = None
            if len(gathered) >= most or size >= CHUNK_BYTES:
                break
        return gathered

    def _compose(self, composer: Composer, gathered: list[tuple[Wanting, Ref]]) -> None:
        """One chunk: references of a payload stand together, so that its shared part travels once. What was composed
        late is ready."""
        by_spec: dict[bytes, list[tuple[Wanting, Ref]]] = {}
        for item in gathered:
            pool, ref = item
            if ref.envelope is None:
                by_spec.setdefault(ref.spec.key, []).append(item)
            else:
                pool.composed(ref, ref.envelope)
                self._loop.call_soon(pool.turn)
        if not by_spec:
            return
        ordered = [item for items in by_spec.values() for item in items]
        groups = [
            Group(spec=items[0][1].spec, addressees=tuple(ref.addressee for _, ref in items))
            for items in by_spec.values()
        ]
        composer.compose(
            groups,
            lambda results: self._composed(ordered, results),
            lambda place, result: self._late(ordered[place][1], result),
        )

    def _composed(self, items: list[tuple[Wanting, Ref]], results: Sequence[Result | None]) -> None:
        """None for what will be `_late`: its path is not to wait for it."""
        touched: dict[Wanting, None] = {}
        for (pool, ref), result in zip(items, results, strict=True):
            touched[pool] = None
            if isinstance(result, Composed):
                pool.composed(ref, result.envelope)
                continue
            pool.composed(ref, None)
            if result is not None:
                self._not_composed(ref, result)
        self._turn(touched)

    def _late(self, ref: Ref, result: Result) -> None:
        """Its path may be another by now, or not serve it any more: it goes the whole way again, with its message."""
        if isinstance(result, ComposeFailed):
            self._not_composed(ref, result)
        elif not ref.is_settled:
            ref.envelope = result.envelope
            self.submit([ref])

    def _not_composed(self, ref: Ref, failed: ComposeFailed) -> None:
        if ref.is_settled:
            return
        if failed.code == CROWDED:
            self._settle(ref, parked(ref, least_parked_s(self._hold, ref.lane), failed.detail, self._rng))
        else:
            self._settle(ref, attempts.not_composed(ref.attempt + 1, time.time(), failed))

    # -- tasks and the end --------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Owns the tasks that open connections and ask DNS, and forgets paths that are not used. Until cancelled."""
        async with asyncio.TaskGroup() as group:
            self._group = group
            while True:
                await self._forget_unused()

    async def _forget_unused(self) -> None:
        """G3: once through all paths, in pieces: looking at a hundred thousand at once would hold up the loop."""
        paths = list(self._paths)
        pieces = [paths[start : start + _LOOKED_AT] for start in range(0, len(paths), _LOOKED_AT)] or [[]]
        for piece in pieces:
            await asyncio.sleep(_FORGET_UNUSED_S / len(pieces))
            for path in piece:
                if self._paths[path].is_unused:
                    self._paths.pop(path).forget()
            self._around.governors.forget_idle(self._loop.time())

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> None:
        assert self._group is not None
        self._group.create_task(work, name=name)

    async def drain(self, timeout_s: float) -> None:
        self._is_draining = True
        for pool in self._paths.values():
            pool.drain()
        try:
            async with asyncio.timeout(timeout_s):
                await asyncio.gather(*(pool.closed() for pool in self._paths.values()))
        except TimeoutError:
            log.warning("drain_cut_short", after_s=timeout_s)
            for pool in self._paths.values():
                pool.abort()
