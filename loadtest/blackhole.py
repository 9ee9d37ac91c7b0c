"""A destination that never connects: its port listens, its backlog is full, and nobody accepts. The kernel drops what
comes after (tcp_v4_conn_request), so a connect hangs until whoever connects gives up."""

import socket

_MOST = 64
_HANGS_AFTER_S = 0.3


class BlackHole:
    """Open from the beginning; `close` ends it. On loopback alone."""

    def __init__(self) -> None:
        self._listener = socket.socket()
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._inside: list[socket.socket] = []
        while len(self._inside) < _MOST and self._takes_one_more():
            pass

    def _takes_one_more(self) -> bool:
        one = socket.socket()
        one.settimeout(_HANGS_AFTER_S)
        try:
            one.connect(("127.0.0.1", self.port))
        except TimeoutError:
            one.close()
            return False
        self._inside.append(one)
        return True

    def close(self) -> None:
        for one in (*self._inside, self._listener):
            one.close()


def connecting(port: int, table: str) -> int:
    """How many wait for an answer to their SYN there, of a table like /proc/net/tcp (proc(5))."""
    there = f":{port:04X}"
    rows = (line.split() for line in table.splitlines()[1:])
    return sum(row[3] == "02" and row[2].endswith(there) for row in rows)
