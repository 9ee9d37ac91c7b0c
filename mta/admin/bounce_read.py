"""`mta bounces read`: what mails that came back say, file by file.

Nothing is looked up and nothing stored: whose message a report is about is for the token in it, and not asked here.
A recipient is shown as the message was addressed to, where the report tells that from whom it ended at.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mta.admin.errors import MissingInput
from mta.admin.output import Output, Table, cell
from mta.classify.classifier import Classifier
from mta.classify.mail import MAX_BYTES
from mta.classify.report import quoted_reply, read_report
from mta.classify.rules import RuleBook
from mta.model.outcome import Stage
from mta.model.report import Report, Reported, ReportKind

STDIN = "-"
_COLUMNS = ("action", "status", "class", "reply")


def read(book: RuleBook, files: Sequence[str], output: Output) -> int:
    """One JSON object for each file, in order."""
    classifier = Classifier(book)
    for file in files:
        report = read_report(_content(file))
        said = shown(file, report, classifier)
        output.result(said)
        _show(said, output)
    return 0


def class_of(reported: Reported, classifier: Classifier) -> str:
    """The class of a refusal that a report tells of; "": nothing was refused."""
    if reported.action not in ("failed", "delayed"):
        return ""
    return classifier.classify(Stage.OUT_OF_BAND, quoted_reply(reported)).bounce_class


def shown(file: str, report: Report, classifier: Classifier) -> dict[str, Any]:
    """As `--json` has it."""
    is_bounce = report.kind is ReportKind.BOUNCE
    feedback_type = report.complaint.feedback_type if report.complaint else ""
    return {
        "file": file.encode("utf-8", "backslashreplace").decode(),
        "kind": report.kind,
        "detail": report.detail,
        "recipients": [
            {
                "recipient": addressed(one),
                "status": one.status,
                "action": one.action,
                "class": class_of(one, classifier) if is_bounce else "",
                "reply": one.reply,
                "feedback_type": feedback_type,
            }
            for one in report.recipients
        ],
    }


def addressed(reported: Reported) -> str:
    original = reported.original_recipient
    return original if "@" in original else reported.recipient


def _content(file: str) -> bytes:
    """As much as is read of a message, without the line that an mbox has in front."""
    if file == STDIN:
        content = sys.stdin.buffer.read(MAX_BYTES)
    else:
        path = Path(file)
        if path.is_dir():
            raise MissingInput(f"{file} is a directory: name the mails in it, as {path / '*'}")
        try:
            with path.open("rb") as opened:
                content = opened.read(MAX_BYTES)
        except OSError as error:
            raise MissingInput(f"cannot read {file}: {error.strerror or error}") from error
    return content.partition(b"\n")[2] if content.startswith(b"From ") else content


def _show(said: dict[str, Any], output: Output) -> None:
    people = said["recipients"]
    words = (said["kind"], said["detail"], people[0]["feedback_type"] if people else "")
    output.say(f"{said['file']}: {', '.join(word for word in words if word)}", "bold")
    if people:
        table = Table("recipient", "action", "status", "class", "reply")
        for one in people:
            cells = (one["recipient"] or "(nobody named)", *(one[name] for name in _COLUMNS))
            table.add_row(*(cell(text) for text in cells))
        output.show(table)
