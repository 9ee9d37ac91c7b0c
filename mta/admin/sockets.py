"""Sockets to listen at: those that the service manager bound for us (sd_listen_fds(3)), by the name its unit gives
them, and our own.

With the manager's no right of the daemon's is needed for ports below 1024, and while it is restarted connections wait
instead of being refused.
"""

import os
import socket
from collections.abc import Mapping
from pathlib import Path

from mta.config.names import host_and_port
from mta.config.problems import ConfigError, Problem

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


def bound(text: str, key: str, origin: Path) -> socket.socket:
    """To an IP address and port of this machine, as the configuration has it under `key`; ConfigError if it cannot
    be."""
    address, port = host_and_port(text, 0)
    one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((address, port))
        one.setblocking(False)
    except OSError as error:
        one.close()
        problem = Problem(str(origin), key, f"{text} cannot be bound: {error.strerror or error}")
        raise ConfigError([problem]) from error
    return one


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
