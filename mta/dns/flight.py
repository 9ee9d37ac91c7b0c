"""One lookup in flight per name, however many ask.

A lookup is a task of its own, because it serves all who ask and must outlive the one who asked first. It leaves
`running` when it ends; whoever owns `running` ends what is in it.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


def joined(
    running: dict[str, asyncio.Task[Value]],
    name: str,
    what: str,
    begin: Callable[[str], Coroutine[Any, Any, Value]],
) -> asyncio.Task[Value]:
    """The lookup in flight, else a new one."""
    task = running.get(name)
    if task is None:
        task = running[name] = asyncio.create_task(begin(name), name=f"{what} of {name}")
        task.add_done_callback(lambda _: running.pop(name, None))
    return task


async def shared(
    running: dict[str, asyncio.Task[Value]],
    name: str,
    what: str,
    begin: Callable[[str], Coroutine[Any, Any, Value]],
) -> Value:
    """What the lookup in flight, else a new one, comes to."""
    return await asyncio.shield(joined(running, name, what, begin))
