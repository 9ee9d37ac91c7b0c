"""The client library, tamed: what it lacks at a disconnect, and its exceptions turned into ours.

The two methods of `TamedClient` reach into the library's private parts; nothing else does. If a later
release renames them, the tests of the connection fail: nothing sent while disconnected, and a frozen
server left in time.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from nats import errors as nats_errors
from nats.aio.client import Client

from mta.jetstream.errors import JetStreamError, JetStreamUnavailable, Refused, TooLarge, Unconfirmed


class TamedClient(Client):
    """The library's client, plus the two things it lacks at the moment of a disconnect: forgetting what it
    had not yet written (it would be sent minutes later), and a close that does not wait for a peer that reads
    no more."""

    def forget_unwritten(self) -> None:
        self._pending.clear()
        self._pending_data_size = 0

    async def _process_op_err(self, e: Exception) -> None:
        writer = getattr(self._transport, "_bare_io_writer", None)
        if self.is_connected and writer is not None:
            writer.transport.abort()
        await super()._process_op_err(e)


LIBRARY_ERRORS = (nats_errors.Error, OSError, TimeoutError)


def ours(error: Exception, what: str) -> JetStreamError:
    """One of `LIBRARY_ERRORS` in our words, with `what` in front."""
    match error:
        case nats_errors.MaxPayloadError():
            return TooLarge(f"{what}: {error}")
        case nats_errors.TimeoutError() | TimeoutError():
            return Unconfirmed(f"{what}: no answer")
        case nats_errors.BadSubjectError() | nats_errors.BadHeaderError():
            return Refused(f"{what}: {error}")
        case _:
            return JetStreamUnavailable(f"{what}: {error}")


@contextmanager
def border(what: str) -> Iterator[None]:
    """Whatever the library raises inside leaves as one of ours."""
    try:
        yield
    except LIBRARY_ERRORS as error:
        raise ours(error, what) from error


def without_password(url: str) -> str:
    """For people: scheme, host and port of a server."""
    scheme, separator, rest = url.rpartition("://")
    return scheme + separator + rest.rpartition("@")[2]
