"""The seam behind which events leave: the publisher to MTA_EVENTS today, others beside it."""

from typing import Protocol


class EventSink(Protocol):
    """Takes encoded events. `token` comes back to whoever keeps the books once the line is kept; None: nobody asks."""

    @property
    def unkept_bytes(self) -> int:
        """Of lines that were taken and are not kept yet: work stops while this is at its bound."""
        ...

    def emit(self, subject: str, line: bytes, token: object | None) -> None: ...

    async def flush(self) -> None:
        """Returns when nothing is unkept."""
        ...
