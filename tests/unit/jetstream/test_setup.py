import pytest

from mta.jetstream.errors import ServerTooOld
from mta.jetstream.setup import WANTED_PAYLOAD, check_version, too_small


@pytest.mark.parametrize("version", ["2.12.0", "2.15.1", "2.12.0-RC.3", "3.0.0"])
def test_servers_with_schedules_will_do(version: str) -> None:
    """2.12 and later."""
    check_version(version)


@pytest.mark.parametrize("version", ["2.9.10", "2.11.99", "1.4.1", "", "unknown"])
def test_older_servers_are_refused_with_a_clear_line(version: str) -> None:
    """The line names what was found and what is needed."""
    with pytest.raises(ServerTooOld, match=r"2\.12 or newer is required"):
        check_version(version)


def test_a_server_that_takes_too_little_is_told() -> None:
    """Below what the embedded one takes."""
    assert too_small(WANTED_PAYLOAD) == ""
    assert "at most 1048576 bytes: set max_payload: 8MB" in too_small(1 << 20)
