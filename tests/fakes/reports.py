"""Reports as other servers write them, and a reader of them that knows only these: for those who test what comes
after reading."""

import os
import signal
import time
from email import message_from_bytes
from email.message import Message
from email.utils import parseaddr

import dkim

from mta.model.report import Complaint, Report, Reported, ReportKind

READER = "tests.fakes.reports:read"


def crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def dsn(
    recipient: str = "bob@example.test",
    *,
    action: str = "failed",
    status: str = "5.1.1",
    reply: str = "smtp; 550 5.1.1 no such user",
) -> bytes:
    """RFC 3464."""
    final = f"Final-Recipient: rfc822; {recipient}\n" if recipient else ""
    return crlf(f"""\
From: MAILER-DAEMON@mx.example.test
To: <>
Subject: Undelivered Mail
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status; boundary=b

--b
Content-Type: text/plain

It could not be delivered.

--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example.test

{final}Action: {action}
Status: {status}
Diagnostic-Code: {reply}

--b--
""")


def arf(
    *,
    kind: str = "abuse",
    sender: str = "feedback@arf.example.test",
    mail_from: str = "",
    feedback_id: str = "",
) -> bytes:
    """RFC 5965, not signed."""
    held = f"CFBL-Feedback-ID: {feedback_id}\n" if feedback_id else ""
    return crlf(f"""\
From: {sender}
To: abuse@acme.test
Subject: Complaint
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

Somebody complained.

--b
Content-Type: message/feedback-report

Feedback-Type: {kind}
User-Agent: Loop/1
Version: 1
Original-Mail-From: <{mail_from}>
{held}
--b--
""")


def mail(subject: str = "Hello", text: str = "Hello.", **headers: str) -> bytes:
    """Anybody's. Underscores in names of headers stand for hyphens."""
    more = "".join(f"{name.replace('_', '-')}: {value}\n" for name, value in headers.items())
    return crlf(f"From: bob@example.test\nSubject: {subject}\n{more}\n{text}\n")


def signed(raw: bytes, pem: bytes, domain: str, selector: str = "s1", **options: object) -> bytes:
    signature: bytes = dkim.sign(raw, selector.encode(), domain.encode(), pem, **options)
    return signature + raw


def read(raw: bytes) -> Report:
    """What runs in the worker; a bomb goes off here."""
    message = message_from_bytes(raw)
    _explode(message)
    author = parseaddr(message.get("From", ""))[1].rpartition("@")[2]
    kind = message.get_param("report-type")
    if kind == "delivery-status":
        return Report(ReportKind.BOUNCE, _reported(message), from_domain=author)
    if kind == "feedback-report":
        return Report(ReportKind.FEEDBACK, complaint=_complaint(message), from_domain=author)
    if message.get("Auto-Submitted", "no") != "no":
        return Report(ReportKind.AUTO_REPLY, from_domain=author, detail="vacation")
    return Report(ReportKind.NONE, from_domain=author)


def _reported(message: Message) -> tuple[Reported, ...]:
    _, block = _part(message, "message/delivery-status").get_payload()
    final, status = block.get("Final-Recipient", ""), block["Status"]
    reply = block["Diagnostic-Code"].partition(";")[2].strip()
    code = int(reply[:3]) if reply[:3].isdigit() else 0
    return (Reported(final.partition(";")[2].strip(), "", block["Action"], status, code, reply),)


def _complaint(message: Message) -> Complaint:
    fields = message_from_bytes(_part(message, "message/feedback-report").get_payload(0).as_bytes())
    return Complaint(
        fields["Feedback-Type"],
        original_mail_from=fields.get("Original-Mail-From", "").strip("<>"),
        feedback_id=fields.get("CFBL-Feedback-ID", ""),
    )


def _part(message: Message, kind: str) -> Message:
    return next(part for part in message.walk() if part.get_content_type() == kind)


def _explode(message: Message) -> None:
    match message.get("X-Bomb"):
        case "spin":
            while True:
                pass
        case "sleep":
            time.sleep(3600)
        case "eat":
            held = []
            while True:
                held.append(bytearray(1 << 24))
        case "die":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "leave":
            os._exit(0)
        case "raise":
            raise LookupError("a bug")
        case "deep":
            exec("[" * 50_000 + "]" * 50_000)
        case str() as path if path.startswith("/") and not os.path.exists(path):
            open(path, "w").close()  # only the first who reads it is killed
            os.kill(os.getpid(), signal.SIGKILL)
