"""Making due at once what waits in MTA_RETRY, after an order was given or taken back.

A cancelled campaign is withdrawn so: what waits is answered as any due payload of it is, so nothing is removed that
nobody has read, and every recipient gets his event. After a pause only what was parked for it is released. All nodes
may do it at the same time: the stream lets only one of them release a message. What a payload at work has not stored
yet is released when it has.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import structlog

from mta.flow.work import SourceKey, Work
from mta.intake.orders import NO_CAMPAIGN, Orders, Target
from mta.jetstream.connection import Link
from mta.jetstream.consumers import held_subjects
from mta.jetstream.errors import Conflict, JetStreamError
from mta.jetstream.layout import RETRY
from mta.jetstream.schedule import PAUSED, TARGET, carried, description, released
from mta.jetstream.subjects import parse_due, retry_filter
from mta.pacing.action import Aim
from mta.queue.health import PathState

_AGAIN_S = 5.0
_AT_ONCE = 64
_MOST_PASSES = 4

log = structlog.get_logger()


class Releases:
    """`in_work` are all that are in work on this node; `spawn` begins a task of the owner's, under a name."""

    def __init__(
        self,
        link: Link,
        orders: Orders,
        in_work: Mapping[SourceKey, Work],
        spawn: Callable[[Coroutine[Any, Any, None], str], object],
    ) -> None:
        self._link = link
        self._orders = orders
        self._in_work = in_work
        self._spawn = spawn

    def begin(self, target: Target, *, only_paused: bool) -> None:
        self._release(target, only_paused)
        self._let_go(target)

    def begin_of(self, aim: Aim) -> None:
        """What an action held that was taken back."""
        if aim.is_of_senders:
            self.begin(Target(aim.tenant, aim.campaign), only_paused=True)
        else:
            self.begin_of_paths(aim.provider)

    def begin_of_paths(self, provider: str) -> None:
        """What was parked because paths to this provider (empty: to any) were suspended, which they are no more."""
        waiting = release_waiting(self._link, Target(), only_paused=True, suspended_at=provider)
        self._spawn(waiting, f"release what waits for {provider or 'a path'}")
        self._let_go(Target())

    def go_on(self, work: Work) -> None:
        """Of this one all is stored that was gathered until a moment ago."""
        if not work.is_let_go:
            return
        work.is_let_go = bool(work.waiting)
        tenant, campaign = work.admitted.tenant, work.admitted.campaign
        is_cancelled = self._orders.cancelled(tenant, campaign) is not None
        self._release(Target(tenant, campaign), not is_cancelled)

    def _let_go(self, target: Target) -> None:
        for work in self._in_work.values():
            admitted = work.admitted
            if work.waits and target.covers(admitted.lane, admitted.tenant, admitted.campaign):
                work.is_let_go = True

    def _release(self, target: Target, only_paused: bool) -> None:
        self._spawn(release_waiting(self._link, target, only_paused=only_paused), f"release {target}")


async def release_waiting(
    link: Link, target: Target, *, only_paused: bool, suspended_at: str | None = None
) -> None:
    """Returns when nothing of `target` waits any more that is to be released; or what is stored again each time it
    comes, because something else withholds it. `suspended_at`: only what was parked because the paths to this provider
    were suspended, or any (empty)."""
    campaign = "" if target.campaign == NO_CAMPAIGN else target.campaign
    wanted = retry_filter(target.tenant or None, campaign if target.campaign else None)
    passes = 0
    while passes < _MOST_PASSES:
        try:
            subjects = list(await held_subjects(link, RETRY, wanted))
            count = 0
            for start in range(0, len(subjects), _AT_ONCE):
                several = subjects[start : start + _AT_ONCE]
                count += sum(
                    await asyncio.gather(
                        *(_release(link, one, target, only_paused, suspended_at) for one in several)
                    )
                )
            passes = passes + 1 if count else _MOST_PASSES
        except JetStreamError as error:
            log.warning("release_delayed", target=str(target), error=str(error))
            await asyncio.sleep(_AGAIN_S)
        else:
            if count:
                log.info("released", target=str(target), messages=count)


async def _release(
    link: Link, subject: str, target: Target, only_paused: bool, suspended_at: str | None
) -> bool:
    """False for what is not to be released, or was by somebody else."""
    stored = await link.last_message(RETRY, subject)
    if stored is None or TARGET not in stored.headers or (only_paused and PAUSED not in stored.headers):
        return False
    if suspended_at is not None and not _was_suspended(stored.headers, suspended_at):
        return False
    due = parse_due(stored.headers[TARGET])
    if target.lane is not None and (due is None or due.lane is not target.lane):
        return False
    headers = released(subject, stored.sequence) | carried(stored.headers)
    try:
        await link.call(stored.headers[TARGET], stored.data, headers=headers)
    except Conflict:
        return False  # it fired, or another node was faster
    return True


def _was_suspended(headers: Mapping[str, str], provider: str) -> bool:
    """Its recipients, or most of them, were parked for it. Providers that the headers leave out may be this one."""
    held = description(headers)
    return held is None or (
        held.reason == PathState.SUSPENDED
        and (not provider or provider in held.providers or "" in held.providers)
    )
