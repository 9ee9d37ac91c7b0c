"""A job that does to its process what hostile or broken code would, when a recipient's local part asks for
it."""

import ctypes
import os
import signal
import time

from mta.compose.job import Job
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.compose.spec import decode_chunk


class PoisonJob(Job):
    def compose(self, blob: bytes) -> bytes:
        for group in decode_chunk(blob).groups:
            for addressee in group.addressees:
                _poison(addressee.email.partition("@")[0].rstrip("0123456789"), addressee.recipient_id)
        return super().compose(blob)


def _poison(name: str, argument: str) -> None:
    match name:
        case "exit":
            os._exit(7)
        case "exit-zero":
            os._exit(0)
        case "segfault":
            ctypes.string_at(0)
        case "loop":
            while True:
                pass
        case "deaf":
            signal.pthread_sigmask(signal.SIG_BLOCK, set(signal.Signals))
            time.sleep(3600)
        case "hog":
            bytearray(3_000_000_000)
        case "raise":
            raise RuntimeError("secret")
        case "once":
            # The first worker to see it dies, as if an operator had killed it.
            if not os.path.exists(argument):
                with open(argument, "w"):
                    os.kill(os.getpid(), signal.SIGKILL)


class BrokenJob(Job):
    def __init__(self, settings: ComposeSettings, keys: SigningKeys) -> None:
        raise RuntimeError("cannot start")
