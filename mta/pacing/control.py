"""The life of actions on this node: makes them of refusals, follows and writes them in MTA_CONTROL, obeys them at once,
and tells operators of their beginning and their end.

What this node makes is in effect here before the bucket has it; while the bucket cannot be reached it is written later,
if it still holds. An action that expires vanishes from the bucket without a word, so each node keeps the time itself.
One that is gone before was taken back: what waits because of it is let go.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from mta.events.operations import Operations
from mta.intake.orders import Orders, OrderVerb, Target
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.kv import Bucket, Change
from mta.jetstream.layout import CONTROL
from mta.pacing.action import PREFIX, Action, encode_action
from mta.pacing.actions import REMEMBERED_S, Actions, read_action
from mta.pacing.automation import Automation, Observation
from mta.pacing.told import begin_of, end_of, fields_of, told_id

_AGAIN_S = 1.0
_MOST = 10_000
_LOOK_AGAIN_S = 3600.0

log = structlog.get_logger()


class OnAction(Protocol):
    """It has begun or changed, or `is_taken_back`."""

    def __call__(self, action: Action, *, is_taken_back: bool) -> None: ...


class Control:
    """`run` and `follow` in the owner's task group. `on_action` is never called from within `note`."""

    def __init__(
        self,
        link: Link,
        actions: Actions,
        automation: Automation,
        operations: Operations,
        on_action: OnAction,
    ) -> None:
        self._link = link
        self._actions = actions
        self._automation = automation
        self._operations = operations
        self._on_action = on_action
        self._unwritten: dict[str, Action] = {}
        self._unended: dict[str, Action] = {}
        """In force when last heard of: their end is still to be told."""
        self._has_unwritten = asyncio.Event()
        self._is_changed = asyncio.Event()

    # -- what happens here --------------------------------------------------------------------------------------

    def note(self, seen: Observation) -> None:
        """An attempt was refused."""
        now = time.time()
        for action in self._automation.note(seen, now):
            self._keep_time_of(action)
            if len(self._unwritten) < _MOST:
                self._unwritten[action.id] = action
            self._has_unwritten.set()
            if action.since >= now:
                told = told_id(action, begin_of(action), action.since)
                self._operations.tell_once(told, begin_of(action), **fields_of(action))
            asyncio.get_running_loop().call_soon(self._begin, action)

    # -- what the bucket says -----------------------------------------------------------------------------------

    async def follow(
        self,
        link: Link,
        orders: Orders,
        on_order: Callable[[OrderVerb, Target], None],
        on_loaded: Callable[[], None],
        *also: Callable[[str, bytes | None], object],
    ) -> None:
        """What operators and nodes order and do, from any node. Nothing is to be pulled before the first answer. `also`
        are told of each change: key and value."""

        def on_change(change: Change) -> None:
            for tell in also:
                tell(change.key, change.value)
            given = orders.apply(change.key, change.value)
            if given is not None:
                on_order(*given)
            self.apply(change)

        await Bucket(link, CONTROL).watch(on_change, on_loaded=on_loaded)

    def apply(self, change: Change) -> None:
        """A key of MTA_CONTROL, of whatever kind."""
        prefix, _, action_id = change.key.partition(".")
        if prefix != PREFIX:
            return
        known = self._actions.get(action_id)
        if change.value is None:
            self._unwritten.pop(action_id, None)
            self._unended.pop(action_id, None)
            self._actions.apply(change.key, None)
            if known is not None and known.until > time.time():
                self._on_action(known, is_taken_back=True)
            return
        action = read_action(change.key, change.value)
        if action is None or action == known:
            return
        self._actions.put(action)
        if action.until > time.time():
            self._keep_time_of(action)
            self._begin(action)

    def _begin(self, action: Action) -> None:
        self._on_action(action, is_taken_back=False)

    def _keep_time_of(self, action: Action) -> None:
        if len(self._unended) < _MOST:
            self._unended[action.id] = action
        self._is_changed.set()

    # -- beside -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._write(), name="write actions")
            group.create_task(self._watch_ends(), name="end actions")

    async def _write(self) -> None:
        bucket = Bucket(self._link, CONTROL)
        while True:
            await self._has_unwritten.wait()
            self._has_unwritten.clear()
            while self._unwritten:
                action_id, action = next(iter(self._unwritten.items()))
                lasts_s = action.until - time.time()
                try:
                    if lasts_s > 0:
                        value = encode_action(action)
                        await bucket.put(action.key, value, ttl_s=lasts_s + REMEMBERED_S)
                except JetStreamError as error:
                    log.warning("action_unwritten", action=action_id, error=str(error))
                    await asyncio.sleep(_AGAIN_S)
                    await self._link.until_connected()
                    continue
                if self._unwritten.get(action_id) is action:
                    del self._unwritten[action_id]

    async def _watch_ends(self) -> None:
        while True:
            self._is_changed.clear()
            self._tell_ends(time.time())
            next_at = min((action.until for action in self._unended.values()), default=float("inf"))
            try:
                async with asyncio.timeout(min(max(next_at - time.time(), 0.0), _LOOK_AGAIN_S)):
                    await self._is_changed.wait()
            except TimeoutError:
                continue

    def _tell_ends(self, now: float) -> None:
        """Each node tells; the stream keeps one of it."""
        for action_id, action in list(self._unended.items()):
            if action.until > now:
                continue
            del self._unended[action_id]
            kind = end_of(action)
            if kind:
                told = told_id(action, kind, action.until)
                self._operations.tell_once(told, kind, **fields_of(action))
        self._actions.forget_ended(now)
