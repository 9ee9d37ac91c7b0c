"""Sockets that the service manager bound for us (sd_listen_fds(3)), by the name its unit gives them.

Ports below 1024 need no right of the daemon's then, and while it is restarted connections wait instead of being
refused.
"""

import os
import socket
from collections.abc import Mapping

_FIRST = 3
_MOST = 64


def inherited(environ: Mapping[str, str], pid: int | None = None) -> dict[str, list[socket.socket]]:
    """By `FileDescriptorName=`, listening ones only; they are ours from here on, and not our children's. Empty where
    they are meant for another process."""
    count = environ.get("LISTEN_FDS", "")
    if environ.get("LISTEN_PID") != str(os.getpid() if pid is None else pid) or not count.isdecimal():
        return {}
    names = environ.get("LISTEN_FDNAMES", "").split(":")
    found: dict[str, list[socket.socket]] = {}
    for place in range(min(int(count), _MOST)):
        name = names[place] if place < len(names) else "unknown"
        one = _listening(_FIRST + place)
        if one is not None:
            found.setdefault(name, []).append(one)
    return found


def _listening(descriptor: int) -> socket.socket | None:
    """None for what is no listening stream socket; it stays open, and is nobody's."""
    try:
        os.set_inheritable(descriptor, False)
        one = socket.socket(fileno=descriptor)
    except OSError:
        return None
    if one.type == socket.SOCK_STREAM and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
        one.setblocking(False)
        return one
    one.detach()
    return None
