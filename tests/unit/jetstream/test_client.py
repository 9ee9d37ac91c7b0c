import pytest
from nats import errors as nats_errors

from mta.jetstream.client import border, without_password
from mta.jetstream.errors import JetStreamError, JetStreamUnavailable, Refused, TooLarge, Unconfirmed


@pytest.mark.parametrize(
    ("raised", "kind"),
    [
        (nats_errors.TimeoutError(), Unconfirmed),
        (TimeoutError(), Unconfirmed),
        (nats_errors.MaxPayloadError(), TooLarge),
        (nats_errors.BadSubjectError(), Refused),
        (nats_errors.BadHeaderError("a b"), Refused),
        (nats_errors.ConnectionClosedError(), JetStreamUnavailable),
        (ConnectionResetError(), JetStreamUnavailable),
    ],
)
def test_the_border_lets_only_our_errors_out(raised: Exception, kind: type[JetStreamError]) -> None:
    """Each of the library's exceptions has one of ours, which tells what was tried and keeps the cause."""
    with pytest.raises(kind, match="the thing") as caught, border("the thing"):
        raise raised
    assert type(caught.value) is kind
    assert caught.value.__cause__ is raised


def test_other_errors_pass_the_border() -> None:
    """A mistake of ours is not NATS's."""
    with pytest.raises(ZeroDivisionError), border("the thing"):
        raise ZeroDivisionError


def test_urls_are_told_without_password() -> None:
    """What goes into an error line shows the host only."""
    assert without_password("nats://mta:s3cret@127.0.0.1:4222") == "nats://127.0.0.1:4222"
    assert without_password("127.0.0.1:4222") == "127.0.0.1:4222"
