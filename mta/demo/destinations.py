"""Three destinations as senders meet them: one that refuses unknown users, one that greylists, one that
accepts.

They keep what they accepted, whole for the first few and as a count for the rest, so that whoever started
them can compare it with the events and verify signatures.
"""

from collections import Counter
from collections.abc import Callable
from hashlib import blake2b

from mta.demo.policy import Policy, Received

UNKNOWN_PREFIX = b"former."
"""Local parts that the google-like destination does not know."""

# What Gmail says at RCPT: four lines and a session id (support.google.com/mail/?p=NoSuchUser).
_NO_SUCH_USER = (
    b"550-5.1.1 The email account that you tried to reach does not exist. Please try\r\n"
    b"550-5.1.1 double-checking the recipient's email address for typos or\r\n"
    b"550-5.1.1 unnecessary spaces. For more information, go to\r\n"
    b"550 5.1.1  https://support.google.com/mail/?p=NoSuchUser %b - gsmtp\r\n"
)
_GREYLISTED = b"451 4.7.1 Greylisted, please try again in %d seconds\r\n"

_KEPT = 100


class Destination(Policy):
    """Accepts everything; `kept` holds the first messages, `accepted` counts every recipient."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.kept: list[Received] = []
        self.accepted: Counter[str] = Counter()

    def on_mail(self, sender: bytes) -> bytes | None:
        return None

    def on_rcpt(self, recipient: bytes) -> bytes | None:
        return None

    def on_message(self, received: Received) -> bytes | None:
        self.accepted.update(recipient.decode("ascii") for recipient in received.recipients)
        if len(self.kept) < _KEPT:
            self.kept.append(received)
        return None

    def before_replies(self) -> None:
        """Nothing to write down: it lives in memory."""


class KnowsItsUsers(Destination):
    """Refuses the unknown at RCPT, as Gmail does."""

    def on_rcpt(self, recipient: bytes) -> bytes | None:
        if recipient.startswith(UNKNOWN_PREFIX):
            return _NO_SUCH_USER % blake2b(recipient, digest_size=10).hexdigest().encode()
        return None


class Greylists(Destination):
    """Defers the first attempt for each recipient and any within `wait_s` after it."""

    def __init__(self, name: str, wait_s: float, clock: Callable[[], float]) -> None:
        super().__init__(name)
        self._wait_s = wait_s
        self._clock = clock
        self._welcome_at: dict[bytes, float] = {}

    def on_rcpt(self, recipient: bytes) -> bytes | None:
        now = self._clock()
        welcome_at = self._welcome_at.setdefault(recipient, now + self._wait_s)
        return _GREYLISTED % max(1, round(welcome_at - now)) if now < welcome_at else None
