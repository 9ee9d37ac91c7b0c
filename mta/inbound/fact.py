"""What was learnt of one recipient after its message was delivered."""

from typing import Protocol

from msgspec import Struct

from mta.model.event import EventType, FeedbackPart, SmtpPart
from mta.model.outcome import BounceType, Verdict
from mta.model.report import DOUBTS, GENERATED

OTHER = "other"
"""The provider of those who have none."""
# Only ever added to at the end: the place of one is in the ids of events and of marks.
_TYPES = (BounceType.HARD, BounceType.SOFT, BounceType.BLOCK, BounceType.ADMIN, BounceType.UNDETERMINED)
_ANSWERS = ("", "moved", "challenge", "read_receipt", GENERATED)


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

    @property
    def aspect(self) -> int:
        """From 0 to 4: what else may become known of the same message by the same kind. A mailbox is full and then
        gone, somebody is away and then has moved: of each type of bounce and each sort of answer there is one."""
        if self.kind is EventType.OOB_BOUNCED and self.verdict is not None:
            return _TYPES.index(self.verdict.type)
        if self.kind is EventType.AUTO_REPLIED and self.detail in _ANSWERS:
            return _ANSWERS.index(self.detail)
        return 0


class Recording(Protocol):
    """Where facts are kept."""

    async def record(self, fact: Fact) -> bool:
        """True: stored now. False: known before. JetStreamError when it could not be stored."""
        ...
