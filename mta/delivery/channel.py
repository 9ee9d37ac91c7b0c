"""The seam between the life of a payload and the way its messages take: email today, others beside it."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from mta.delivery.reference import Reference, Settlement
from mta.model.lane import Lane

OnSettled = Callable[[Reference[Any], Settlement], None]


class Channel(Protocol):
    """Takes references and settles each one exactly once, by the callback it was built with."""

    def submit(self, references: Iterable[Reference[Any]]) -> None: ...

    def withdraw(self, references: Iterable[Reference[Any]]) -> list[Reference[Any]]:
        """Take back those that are not on the wire; they will not be settled by the channel."""
        ...

    def hold(self, references: Iterable[Reference[Any]]) -> None:
        """Settle those that are not on the wire and are held now because of whose they are."""
        ...

    def resume(self) -> None:
        """Go on: what its owners had withheld their permit from may be sent now."""
        ...

    def look_again(self) -> None:
        """What bounds its paths may have changed."""
        ...

    def sendable(self, lane: Lane) -> int:
        """How many of the references in hand can be sent about now."""
        ...

    async def drain(self, timeout_s: float) -> None:
        """Finish what is on the wire, send nothing new, close every connection."""
        ...
