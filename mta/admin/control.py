"""What a node can be asked from anywhere, `mta.control.<node>.<verb>`: what it has in hand and what binds that, which
limits are slowed, how it is.

`hearing` is wired in front of who is told of settlements; `open` it when the rest runs, `close` it when nothing does.
"""

import time
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from mta.admin.in_hand import Sending, Told, Working
from mta.admin.version import version
from mta.admin.view import NodeView
from mta.jetstream.connection import Link
from mta.jetstream.service import NodeService

BACKLOG, LIMITS, NODE, RELEASE = "backlog", "limits", "node", "release"

_encoder = msgspec.json.Encoder()


class Paced(Protocol):
    """Whatever governs: what it slows, why and until when; and the taking back of one."""

    def rows(self) -> Sequence[Any]: ...

    def release(self, wanted: str) -> bool:
        """By the id of its row."""
        ...


class NodeControl:
    def __init__(self, link: Link, node: str, paced: Paced) -> None:
        self._node = node
        self._paced = paced
        self._told = Told(node)
        self._started = time.time()
        self._service = NodeService(
            link,
            node,
            {
                BACKLOG: self._backlog,
                LIMITS: self._list_limits,
                NODE: self._describe,
                RELEASE: self._release,
            },
        )
        self.hearing = self._told.hearing

    async def open(self, working: Working, sending: Sending) -> None:
        self._working = working
        self._sending = sending
        await self._service.open()

    async def close(self) -> None:
        await self._service.close()

    async def _backlog(self, _: bytes) -> bytes:
        return _encoder.encode(await self._told.view(self._working, self._sending))

    async def _list_limits(self, _: bytes) -> bytes:
        return _encoder.encode(self._paced.rows())

    async def _release(self, wanted: bytes) -> bytes:
        return _encoder.encode(self._paced.release(wanted.decode("ascii", "replace")))

    async def _describe(self, _: bytes) -> bytes:
        payloads = len(self._working.in_work)
        rate = round(self._told.rate, 1)
        limits = len(self._paced.rows())
        return _encoder.encode(NodeView(self._node, version(), self._started, payloads, rate, limits))
