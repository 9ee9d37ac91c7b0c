"""Whether this machine has an address that mail is to leave from: tried, because the kernel alone knows."""

import socket


def unbindable(address: str) -> str:
    """Why nothing can be sent from it; empty if it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""
