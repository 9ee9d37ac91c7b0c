"""What goes wrong with NATS, in our words. No exception of the client library leaves this package."""


class JetStreamError(Exception):
    """Anything the stream side refused or could not do."""


class JetStreamUnavailable(JetStreamError, ConnectionError):
    """Not connected, or nobody serves the subject asked. Nothing was done, or nothing is known to have been
    done."""


class Unreachable(JetStreamUnavailable):
    """No server took the connection in time."""


class NobodyThere(JetStreamUnavailable):
    """Connected, but no stream or service listens on the subject."""


class WithoutJetStream(JetStreamUnavailable):
    """Connected to a server that only passes messages on."""


class Unconfirmed(JetStreamUnavailable, TimeoutError):
    """Sent, but no answer came: it may have been done."""


class StreamFull(JetStreamError, BufferError):
    """The stream or its disk takes nothing more (error 10077, and the resource limits)."""


class Conflict(JetStreamError, ValueError):
    """The expected last sequence was another one (error 10071). `sequence` is the stored one, 0 if it was not
    told."""

    def __init__(self, text: str, sequence: int = 0) -> None:
        super().__init__(text)
        self.sequence = sequence


class NotFound(JetStreamError, LookupError):
    """No such stream, consumer, key or object."""


class PermissionMissing(JetStreamError, PermissionError):
    """Our user may not do this, or may not connect at all."""


class Refused(JetStreamError, ValueError):
    """The server understood and said no. `code` is its JetStream error code, 0 for our own refusal to
    send."""

    def __init__(self, text: str, code: int = 0) -> None:
        super().__init__(text)
        self.code = code


class TooLarge(Refused):
    """Larger than the server's max_payload, headers included: it would cut the connection."""


class ServerTooOld(JetStreamError, RuntimeError):
    """No message schedules: older than 2.12."""


class EmbeddedServerFailed(JetStreamError, RuntimeError):
    """Our child server does not start."""


class ExtraMissing(JetStreamError, ImportError):
    """The wheel that brings the server is not installed."""


class StateDirectoryInUse(JetStreamError, RuntimeError):
    """Another daemon runs its embedded server in this directory."""


# JetStream error codes, from the server's errors.json.
CONSUMER_NOT_FOUND = 10014
NO_MESSAGE_FOUND = 10037
STREAM_NOT_FOUND = 10059
_NOT_FOUND = frozenset((CONSUMER_NOT_FOUND, NO_MESSAGE_FOUND, STREAM_NOT_FOUND))
CONFLICTS = frozenset((10071, 10164))
FULL = frozenset((10077, 10023, 10028, 10047, 10122))
"""Store failed (limits of the stream, a full disk), insufficient resources, memory, storage, stream max
bytes."""
PASSING = frozenset((10158,))
"""A message of this id is just being stored. It passes later, as does every 503 that is not about room."""


def stored_sequence(description: str) -> int:
    """The number at the end of `wrong last sequence: 5`; 0 if there is none."""
    tail = description.rpartition(":")[2].strip()
    return int(tail) if tail.isdecimal() else 0


def from_api(code: int, err_code: int, description: str) -> JetStreamError:
    """The error object of a JetStream answer as one of ours."""
    text = f"{description} ({err_code or code})"
    if err_code in CONFLICTS:
        return Conflict(text, stored_sequence(description))
    if err_code in FULL:
        return StreamFull(text)
    if err_code in _NOT_FOUND:
        return NotFound(text)
    if err_code in PASSING or code == 503:
        return JetStreamUnavailable(text)
    return Refused(text, err_code)
