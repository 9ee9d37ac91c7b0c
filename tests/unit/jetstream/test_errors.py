import pytest

from mta.jetstream.errors import (
    Conflict,
    JetStreamError,
    JetStreamUnavailable,
    NotFound,
    PermissionMissing,
    Refused,
    StreamFull,
    Unconfirmed,
    from_api,
    stored_sequence,
)


@pytest.mark.parametrize(
    ("code", "err_code", "kind"),
    [
        (400, 10071, Conflict),
        (400, 10164, Conflict),
        (503, 10077, StreamFull),
        (500, 10047, StreamFull),
        (404, 10059, NotFound),
        (404, 10014, NotFound),
        (404, 10037, NotFound),
        (503, 10008, JetStreamUnavailable),
        (409, 10158, JetStreamUnavailable),
        (400, 10189, Refused),
        (0, 0, Refused),
    ],
)
def test_api_errors_have_a_class(code: int, err_code: int, kind: type[JetStreamError]) -> None:
    """The server's error codes become our classes."""
    error = from_api(code, err_code, "text")
    assert type(error) is kind
    assert "text" in str(error)


def test_a_conflict_knows_the_stored_sequence() -> None:
    """It stands at the end of the description, where it stands at all."""
    error = from_api(400, 10071, "wrong last sequence: 42")
    assert isinstance(error, Conflict)
    assert error.sequence == 42
    assert stored_sequence("wrong last sequence") == 0


def test_errors_are_built_ins_too() -> None:
    """A caller that knows nothing of NATS can catch what it means."""
    assert issubclass(JetStreamUnavailable, ConnectionError)
    assert issubclass(Unconfirmed, TimeoutError)
    assert issubclass(PermissionMissing, PermissionError)
    assert issubclass(NotFound, LookupError)
    assert issubclass(StreamFull, BufferError)
