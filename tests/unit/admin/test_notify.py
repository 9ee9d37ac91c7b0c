import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from mta.admin.notify import Notifier


class Manager:
    """The socket a service manager listens on."""

    def __init__(self, address: str | bytes) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(address)

    def heard(self) -> list[str]:
        """Each datagram that came."""
        found = []
        while True:
            try:
                found.append(self.socket.recv(4096).decode())
            except BlockingIOError:
                return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "notify"


@pytest.fixture
def manager(place: Path) -> Iterator[Manager]:
    made = Manager(str(place))
    yield made
    made.socket.close()


@pytest.fixture
def notifier(place: Path, manager: Manager) -> Iterator[Notifier]:
    made = Notifier.from_environ({"NOTIFY_SOCKET": str(place)})
    yield made
    made.close()


def test_each_message_is_one_datagram(manager: Manager, notifier: Notifier) -> None:
    """State and status travel together."""
    notifier.status("connecting to NATS")
    notifier.ready("delivering")
    notifier.watchdog()
    notifier.extend_timeout(30.5)
    notifier.stopping("draining 3 messages")
    assert manager.heard() == [
        "STATUS=connecting to NATS",
        "READY=1\nSTATUS=delivering",
        "WATCHDOG=1",
        "EXTEND_TIMEOUT_USEC=30500000",
        "STOPPING=1\nSTATUS=draining 3 messages",
    ]


def test_the_same_status_is_said_once(manager: Manager, notifier: Notifier) -> None:
    """A status that is set every second costs nothing."""
    for _ in range(3):
        notifier.status("3 in work")
    notifier.ready("3 in work")
    notifier.status("")
    assert manager.heard() == ["STATUS=3 in work", "READY=1"]


def test_a_status_cannot_smuggle_an_assignment(manager: Manager, notifier: Notifier) -> None:
    """It may quote what a server said."""
    notifier.status("lost:\nMAINPID=1\x00 \t x")
    assert manager.heard() == ["STATUS=lost: MAINPID=1\x00 x"]


def test_an_abstract_socket_is_reached() -> None:
    """systemd writes its leading NUL as @."""
    name = f"mta-test-{os.getpid()}-{os.urandom(4).hex()}"
    manager = Manager(b"\0" + name.encode())
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": f"@{name}"})
    notifier.ready()
    assert manager.heard() == ["READY=1"]
    notifier.close()
    manager.socket.close()


def test_without_a_manager_nothing_happens() -> None:
    """Started by hand."""
    notifier = Notifier.from_environ({"WATCHDOG_USEC": "30000000"})
    assert not notifier.is_heard
    assert notifier.watchdog_s == 0.0
    notifier.ready("x")
    notifier.watchdog()
    notifier.close()


def test_a_manager_that_is_gone_stops_nobody(place: Path) -> None:
    """And is told again once it is back."""
    notifier = Notifier.from_environ({"NOTIFY_SOCKET": str(place)})
    notifier.status("one")
    manager = Manager(str(place))
    notifier.status("one")
    assert manager.heard() == ["STATUS=one"]
    notifier.close()
    manager.socket.close()


def test_a_manager_that_does_not_read_stops_nobody(manager: Manager, notifier: Notifier) -> None:
    """Its queue is full: the message is lost, the caller goes on."""
    for _ in range(10_000):
        notifier.watchdog()
    assert len(manager.heard()) < 10_000


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({"WATCHDOG_USEC": "-1"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_is_ours_or_none(environ: dict[str, str], seconds: float) -> None:
    """sd_watchdog_enabled(3)."""
    assert Notifier.from_environ({"NOTIFY_SOCKET": "/x", **environ}, pid=7).watchdog_s == seconds
