"""sd_notify: tells systemd how the service does (sd_notify(3)).

One datagram a message, sent without waiting; without `NOTIFY_SOCKET` nothing happens. The daemon decides
what is true; this module only says it. A service manager that is gone or slow never stops the mail.
"""

import os
import socket
from collections.abc import Mapping


class Notifier:
    """`watchdog_s` is how often the manager wants to hear from us, 0.0 when it does not."""

    def __init__(self, address: str | bytes = "", watchdog_s: float = 0.0) -> None:
        self._address = address
        self.watchdog_s = watchdog_s
        self._socket: socket.socket | None = None
        self._status = ""

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int | None = None) -> "Notifier":
        """As the manager asked. A leading @ is an abstract socket; a watchdog meant for another process is
        none."""
        address: str | bytes = environ.get("NOTIFY_SOCKET", "")
        if isinstance(address, str) and address.startswith("@"):
            address = b"\0" + os.fsencode(address[1:])
        return cls(address, _watchdog_s(environ, os.getpid() if pid is None else pid) if address else 0.0)

    @property
    def is_heard(self) -> bool:
        return bool(self._address)

    def ready(self, status: str = "") -> None:
        self._send("READY=1", *self._changed(status))

    def stopping(self, status: str = "") -> None:
        self._send("STOPPING=1", *self._changed(status))

    def status(self, status: str) -> None:
        """One line for `systemctl status`; the same one twice is sent once."""
        changed = self._changed(status)
        if changed:
            self._send(*changed)

    def watchdog(self) -> None:
        self._send("WATCHDOG=1")

    def extend_timeout(self, seconds: float) -> None:
        """Ask for more time to start or stop."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}")

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _changed(self, status: str) -> tuple[str, ...]:
        line = " ".join(status.split())  # a line end would begin another assignment
        if not line or line == self._status:
            return ()
        self._status = line
        return (f"STATUS={line}",)

    def _send(self, *assignments: str) -> None:
        if not self._address:
            return
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(assignments).encode(), self._address)
        except OSError:  # gone or full: the next message tries again, with a status said anew
            self._status = ""


def _watchdog_s(environ: Mapping[str, str], pid: int) -> float:
    """sd_watchdog_enabled(3): WATCHDOG_PID, where it is set, must be ours."""
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    usec = environ.get("WATCHDOG_USEC", "")
    return int(usec) / 1e6 if usec.isascii() and usec.isdecimal() else 0.0
