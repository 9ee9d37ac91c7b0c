import pytest

from mta.jetstream.credentials import EXPECTED, login
from mta.model.login import Login
from tests.fakes.nats_jwt import trust


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_a_line_is_a_login(end: str) -> None:
    """Only the first colon divides: a password may hold others."""
    assert login(f"mta:a:b c{end}".encode()) == Login("mta", "a:b c")


def test_a_credentials_file_is_left_to_the_library() -> None:
    """Once it is known to be one."""
    assert login(trust().creds.encode()) is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is neither"),
        (b"s3cret", "is neither"),
        (b":s3cret", "is neither"),
        (b"mta:", "is neither"),
        (b"mta:s3cret\nmta:s3cret", "is neither"),
        (b"mta:\xff", "is neither"),
        (b"-----BEGIN NATS USER JWT-----\na.b.c\n------END", "is a part of a credentials file only"),
        (b"-----BEGIN USER NKEY SEED-----\nSUAX\n------END", "is a part of a credentials file only"),
    ],
)
def test_what_is_neither_is_refused_without_being_shown(content: bytes, said: str) -> None:
    """With what is expected."""
    with pytest.raises(ValueError, match=said) as caught:
        login(content)
    assert str(caught.value).endswith(EXPECTED)
    assert "s3cret" not in str(caught.value)


def test_a_damaged_seed_is_found() -> None:
    """Before the first connect, in which the library would fall over it."""
    creds = trust().creds
    at = creds.index("\nSU") + 1
    with pytest.raises(ValueError, match="holds a seed that is none"):
        login((creds[:at] + "SX" + creds[at + 2 :]).encode())
