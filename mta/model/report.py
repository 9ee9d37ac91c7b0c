"""What came back by mail, read: a bounce, a complaint, an answer of a machine, or none of these.

Everything in here is a stranger's word. It is capped and harmless to show, and believed of nobody but the recipient a
valid token names.
"""

from enum import StrEnum

from msgspec import Struct

FORWARDED = "forwarded"
UNNAMED = "unnamed"
DOUBTS = frozenset((FORWARDED, UNNAMED))
"""Details of a late bounce that names another address than the one mailed to, or none: it says nothing against that
one."""

GENERATED = "generated"
"""Detail of what a machine wrote that says of itself that it is none of a person's, and not that it answers."""

NO_COMPLAINTS = frozenset(("not-spam", "auth-failure"))
"""Types of feedback, RFC 5965 section 7.3 and RFC 6591: somebody took his word back; a machine tells what it makes of
signatures. A type nobody knows is a complaint."""


class ReportKind(StrEnum):
    BOUNCE = "bounce"
    FEEDBACK = "feedback"
    AUTO_REPLY = "auto_reply"
    NONE = "none"


class Reported(Struct, frozen=True, omit_defaults=True, gc=False):
    """What a report says of one recipient; empty where it does not say. `action` is a word of RFC 3464 section 2.3.3
    (`failed`, `delayed`, `delivered`, `relayed`, `expanded`), `status` a code of RFC 3463. `code` is the basic code of
    the quoted reply, 0 without one; `reply` that reply or the reason in the report's own words, at most 1 kB."""

    recipient: str = ""
    original_recipient: str = ""
    action: str = ""
    status: str = ""
    code: int = 0
    reply: str = ""
    remote_mta: str = ""


class Complaint(Struct, frozen=True, omit_defaults=True, gc=False):
    """The fields of a feedback report (RFC 5965 section 3) that matter here."""

    feedback_type: str
    arrival_date: str = ""
    reporting_mta: str = ""
    source_ip: str = ""
    original_mail_from: str = ""
    reported_domain: str = ""
    feedback_id: str = ""
    """The value of CFBL-Feedback-ID, of the report or of the message in it."""


class Report(Struct, frozen=True, omit_defaults=True, gc=False):
    """`detail` says what kind of its kind it is, as `challenge` or `read_receipt`; `from_domain` is of its author.
    `original_message_id` and `addresses` (its return path and the like, in order, at most 20) are of the message it is
    about."""

    kind: ReportKind
    recipients: tuple[Reported, ...] = ()
    complaint: Complaint | None = None
    detail: str = ""
    from_domain: str = ""
    reporting_mta: str = ""
    arrival_date: str = ""
    original_message_id: str = ""
    addresses: tuple[str, ...] = ()
