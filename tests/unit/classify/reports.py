"""The corpus of mails that came back: tests/data/reports, with what each one says in expected.json."""

import json
from pathlib import Path
from typing import Any

from mta.classify.report import read_report
from mta.model.report import Report

CORPUS = Path(__file__).parents[2] / "data" / "reports"
EXPECTED: dict[str, dict[str, Any]] = json.loads((CORPUS / "expected.json").read_text())


def raw(name: str) -> bytes:
    return (CORPUS / f"{name}.eml").read_bytes()


def report(name: str) -> Report:
    return read_report(raw(name))


def mail(headers: str, body: str = "") -> bytes:
    """CRLF everywhere."""
    return f"{headers.strip()}\n\n{body}".replace("\n", "\r\n").encode()
