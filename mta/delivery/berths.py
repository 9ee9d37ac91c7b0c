"""The open connections of one path, and since when each of them has been idle."""

import asyncio
from collections.abc import Callable, Iterator

from mta.pacing.passage import Held, Passage
from mta.queue.dispatch import PathLoad
from mta.smtp.connection import Connection


class Berths:
    """Idle times are of the loop's clock; a busy connection has none."""

    __slots__ = ("_changed", "_held", "_idle", "_idle_since")

    def __init__(self) -> None:
        self._idle_since: dict[Connection, float] = {}  # 0: busy
        self._idle = 0
        self._held: dict[Connection, Held] | None = None
        self._changed: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._idle_since)

    def __iter__(self) -> Iterator[Connection]:
        """A copy: who is called may close."""
        return iter(list(self._idle_since))

    def note_idle(self, connection: Connection, now: float) -> None:
        """New, or done with all it had."""
        if not self._idle_since.get(connection):
            self._idle += 1
            self._idle_since[connection] = now

    def note_busy(self, connection: Connection) -> None:
        if self._idle_since.get(connection):
            self._idle -= 1
        self._idle_since[connection] = 0.0

    def note_opened(self, connection: Connection, held: Held) -> None:
        """What it has taken of limits is given back when it is removed."""
        if self._held is None:
            self._held = {}
        self._held[connection] = held

    def remove(self, connection: Connection) -> None:
        held = self._held.pop(connection, None) if self._held is not None else None
        if held is not None:
            held.release()
            self._held = self._held or None
        if self._idle_since.pop(connection, 0.0):
            self._idle -= 1
        self.note_change()

    def is_last_idle(self, connection: Connection, of: int) -> bool:
        """Where there are at least `of` of them."""
        return len(self._idle_since) >= of and self._idle == 1 and bool(self._idle_since.get(connection))

    def count_into(self, load: PathLoad) -> None:
        load.open = load.busy = load.room = 0
        for connection in self._idle_since:
            if connection.is_usable:
                load.open += 1
                load.room += connection.room
                load.busy += not connection.is_idle

    def thin_out(self, passage: Passage, now: float, timeout_s: float, *, has_work: bool) -> float:
        """Quit what has been idle for so long; at once where nothing may go, where there are too many, or where
        somebody else waits for one and there is no work here. Seconds until the next is due."""
        if excess := passage.excess:
            self.quit_idle(excess)
        is_over = passage.blocked_until(now) > now or (not has_work and passage.is_waited_for)
        return self.close_idle(now, 0.0 if is_over else timeout_s)

    def hand_out(self, count: int, send_one: Callable[[Connection], bool]) -> None:
        """One message to each connection before a second to any, so that none waits behind another's."""
        is_first_round = True
        while count:
            before = count
            for connection in self:
                if not count:
                    break
                if connection.is_usable and (connection.room if not is_first_round else connection.is_idle):
                    count -= send_one(connection)
            if count == before and not is_first_round:
                break
            is_first_round = False

    def close_idle(self, now: float, timeout_s: float) -> float:
        """Quit what has been idle for so long; seconds until the next is due."""
        next_s = float("inf")
        if not self._idle:
            return next_s
        for connection, since in list(self._idle_since.items()):
            if not since or not connection.is_usable:
                continue
            left_s = since + timeout_s - now
            if left_s <= 0:
                connection.quit()
            else:
                next_s = min(next_s, left_s)
        return next_s

    def quit_idle(self, most: int) -> None:
        """Up to so many of those that have nothing to do."""
        for connection, since in list(self._idle_since.items()):
            if most > 0 and since and connection.is_usable:
                most -= 1
                connection.quit()

    def count_at(self, host: str) -> int:
        return sum(connection.host == host for connection in self._idle_since)

    def note_change(self) -> None:
        if self._changed is not None and not self._changed.done():
            self._changed.set_result(None)

    async def change(self) -> None:
        """Returns when one was removed, or `note_change` was called."""
        self._changed = asyncio.get_running_loop().create_future()
        await self._changed
