"""Feedback reports: ARF (RFC 5965, 6591, 6650), and the ways of those who send none.

The recipient is Original-Rcpt-To, else what the message in it says of whom it reached. Providers redact both: then the
tokens in the message's headers are all there is. Which types are acted on is for others; `not-spam` is none to suppress
for.
"""

import re

from mta.classify.dsn import address_of
from mta.classify.mail import Part, clean, own_parts, text_of
from mta.classify.original import MAX_ADDRESSES, Original
from mta.classify.spot import addresses
from mta.model.report import Complaint, Report, Reported, ReportKind

MAX_LINES = 1000
_FIELD = re.compile(r"([A-Za-z][A-Za-z0-9-]{1,60})[ \t]{0,4}:(.{0,4000})", re.DOTALL)
_TYPE = re.compile(r"^\s{0,8}feedback-type[ \t]{0,4}:", re.IGNORECASE | re.MULTILINE)
_JMRP = "x-hmxmroriginalrecipient"
_REDACTED = re.compile(r"redacted|xxxx|undisclosed|\[.{0,20}removed.{0,20}\]", re.IGNORECASE)


def fields_of(root: Part) -> dict[str, list[str]] | None:
    """Of the part message/feedback-report, or of the text that stands for it in a report; None: no such report."""
    is_report = (
        root.kind == "multipart/report" and "feedback" in root.parameters.get("report-type", "").lower()
    )
    for part in own_parts(root):
        if part is root:
            continue
        is_part = part.kind == "message/feedback-report"
        if is_part or (is_report and part.kind == "text/plain" and _TYPE.search(text_of(part)[:20_000])):
            fields = _fields(text_of(part))
            if "feedback-type" in fields or is_report:
                return fields
    return None


def is_forwarded_complaint(root: Part, headers: tuple[tuple[str, str], ...]) -> bool:
    """Microsoft's programme sends the message back, with one field more: attached, as all there is in a mail, or
    itself."""
    return root.kind != "multipart/report" and (
        is_sent_back(root) or any(name == _JMRP for name, _ in headers)
    )


def is_sent_back(root: Part) -> bool:
    """By that programme, as it was sent."""
    return bool(root.header(_JMRP))


def read_feedback(
    fields: dict[str, list[str]], headers: tuple[tuple[str, str], ...], original: Original
) -> Report:
    """The report that these fields and the message in it make; `headers` are that message's."""

    def first(*names: str) -> str:
        return next((fields[name][0] for name in names if fields.get(name)), "")

    named = [found for value in fields.get("original-rcpt-to", []) if (found := address_of(value))]
    trace = [value for name, value in headers if name == _JMRP]
    whom = [*named, *addresses(" ".join(trace), 1)] or list(original.recipients) or list(original.to)[:1]
    whom = [address for address in dict.fromkeys(whom) if not _REDACTED.search(address)]
    mail_from = address_of(first("original-mail-from"))
    arrival = clean(first("arrival-date", "received-date"), 100)
    complaint = Complaint(
        feedback_type=clean(first("feedback-type"), 60).lower() or "abuse",
        arrival_date=arrival,
        reporting_mta=clean(first("reporting-mta").partition(";")[2] or first("reporting-mta"), 255),
        source_ip=clean(first("source-ip"), 60),
        original_mail_from=mail_from,
        reported_domain=clean(first("reported-domain", "dkim-domain"), 255).lower(),
        feedback_id=original.feedback_id or clean(first("cfbl-feedback-id"), 500),
    )
    about = [*([mail_from] if mail_from else []), *original.addresses, *addresses(first("cfbl-address"), 2)]
    return Report(
        ReportKind.FEEDBACK,
        recipients=tuple(Reported(recipient=address) for address in whom[:MAX_ADDRESSES]),
        complaint=complaint,
        reporting_mta=complaint.reporting_mta,
        arrival_date=arrival,
        original_message_id=original.message_id,
        addresses=tuple(dict.fromkeys(about))[:MAX_ADDRESSES],
    )


def _fields(text: str) -> dict[str, list[str]]:
    """Values by name in small letters, in order; unfolded."""
    found: dict[str, list[list[str]]] = {}
    last: list[str] = []
    for line in text.split("\n", MAX_LINES)[:MAX_LINES]:
        match = _FIELD.match(line.lstrip() if line[:1] not in " \t" else line)
        if match is not None:
            last = [match[2]]
            found.setdefault(match[1].lower(), []).append(last)
        elif line[:1] in (" ", "\t") and line.strip():
            last.append(line)
    return {name: ["".join(pieces).strip() for pieces in values] for name, values in found.items()}
