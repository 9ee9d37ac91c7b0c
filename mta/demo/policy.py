"""What a receiving end says, apart from how an SMTP dialogue goes: the words of a policy, and what it decides about."""

from typing import Final, Protocol

from msgspec import Struct

STALL: Final = b"stall"
"""As a policy's reply: say nothing to this and to whatever follows; the connection stays open."""

CUT: Final = b"cut"
"""As a policy's reply: close the connection without a word."""

RESET: Final = b"reset"
"""As CUT, and what is on its way is thrown away (RST)."""


class Pause(Struct, frozen=True, gc=False):
    """As a policy's reply: nothing is said and nothing read for `seconds`; then this reply, or the ordinary one."""

    seconds: float
    reply: bytes | None = None


Answer = bytes | Pause | None


class Received(Struct, frozen=True, gc=False):
    """A message whose end was read. `body` is unstuffed; `session` numbers the connection."""

    sender: bytes
    recipients: tuple[bytes, ...]
    body: bytes
    session: int


class Policy(Protocol):
    """What a destination says. None stands for the ordinary positive reply; else a complete reply with its
    CRLF, which accepts if it is a 2yz and closes the connection if it is a 421; or STALL, CUT, RESET, a Pause."""

    def on_connect(self) -> Answer:
        return None

    def on_ehlo(self) -> Answer:
        return None

    def on_mail(self, sender: bytes) -> Answer: ...

    def on_rcpt(self, recipient: bytes) -> Answer: ...

    def on_data(self, recipients: tuple[bytes, ...]) -> Answer:
        """At DATA or the first BDAT; a refused BDAT is answered behind its octets."""
        return None

    def on_body(self, recipients: tuple[bytes, ...]) -> Answer:
        """At the first octets of a message. There is nothing to reply to: only what is no reply makes sense here."""
        return None

    def on_message(self, received: Received) -> Answer: ...

    def behind_message(self, received: Received) -> Answer:
        """Behind the reply that accepted it, where nothing more is said: not a reply either."""
        return None

    def before_replies(self) -> None:
        """Called before the replies of what was just read go out: the place to write down what was
        accepted."""


class Features(Struct, frozen=True):
    """What is offered after EHLO. `tls` says that STARTTLS can be served."""

    hostname: str = "receiver.test"
    max_size_bytes: int = 50_000_000
    pipelining: bool = True
    chunking: bool = True
    tls: bool = False
