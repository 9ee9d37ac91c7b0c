"""What was learnt of one recipient after its message was delivered."""

from typing import Protocol

from msgspec import Struct

from mta.model.event import EventType, FeedbackPart, SmtpPart
from mta.model.outcome import Verdict
from mta.model.report import DOUBTS

OTHER = "other"
"""The provider of those who have none."""


class Fact(Struct, frozen=True, kw_only=True, gc=False):
    """`kind` is one of oob_bounced, complained, auto_replied, unsubscribed. `message_id` is the text of the UUID,
    `recipient` canonical, or empty where nobody knows it. Texts are capped and harmless (`mta.model.report`)."""

    kind: EventType
    tenant: str
    message_id: str
    recipient: str
    at: float
    campaign: str = ""
    stream: str = ""
    lane: str = ""
    payload_id: str = ""
    recipient_id: str = ""
    from_domain: str = ""
    provider: str = OTHER
    verdict: Verdict | None = None
    smtp: SmtpPart | None = None
    feedback: FeedbackPart | None = None
    detail: str = ""

    @property
    def is_weak(self) -> bool:
        """Whether nobody can be suppressed for it: it names nobody, or is a bounce of somebody else's address. Another
        report on the same message may say more."""
        return not self.recipient or (self.verdict is not None and self.verdict.detail in DOUBTS)


class Recording(Protocol):
    """Where facts are kept."""

    async def record(self, fact: Fact) -> bool:
        """True: stored now. False: known before. JetStreamError when it could not be stored."""
        ...
