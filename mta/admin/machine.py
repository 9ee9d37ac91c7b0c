"""Whether this machine has an address that mail is to leave from or that is to be listened at: tried, because the
kernel alone knows."""

import socket


def unbindable(address: str) -> str:
    """Why nothing can be sent from it; empty if it can."""
    error = bind_error(address, 0)
    return "" if error is None else error.strerror or type(error).__name__


def bind_error(address: str, port: int) -> OSError | None:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except OSError as error:
        return error
    return None
