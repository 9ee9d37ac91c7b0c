import io
import json
from pathlib import Path

import pytest

from mta.admin.bounce_read import class_of, read
from mta.admin.errors import MissingInput
from mta.admin.output import Output
from mta.classify.classifier import Classifier
from mta.config.load import shipped_rules
from mta.model.outcome import BounceClass
from mta.model.report import Reported
from tests.unit.classify.reports import CORPUS, raw

BOOK = shipped_rules()
CLASSIFIER = Classifier(BOOK)


def test_each_file_is_one_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    """In the order they are named, with all that is said of each recipient."""
    files = [
        str(CORPUS / f"{name}.eml")
        for name in ("dsn_two_recipients", "arf_fraud", "auto_rfc3834", "mail_personal")
    ]
    assert read(BOOK, files, Output(as_json=True)) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["file"] for line in lines] == files
    assert [line["kind"] for line in lines] == ["bounce", "feedback", "auto_reply", "none"]
    first, second = lines[0]["recipients"]
    assert first.keys() == {"recipient", "status", "action", "class", "reply", "feedback_type"}
    assert (first["recipient"], first["status"]) == ("ada@example.test", "5.2.2")
    assert first["class"] in set(BounceClass)
    assert second["action"] == "delayed"
    assert (lines[1]["recipients"][0]["feedback_type"], lines[1]["recipients"][0]["class"]) == ("fraud", "")


def test_a_person_reads_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Kind and recipients."""
    assert read(BOOK, [str(CORPUS / "qmail.eml"), str(CORPUS / "names_nobody.eml")], Output()) == 0
    out = capsys.readouterr().out
    assert "qmail.eml: bounce" in out
    assert "ada@example.test" in out
    assert "(nobody named)" in out


def test_the_line_of_an_mbox_is_dropped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As is a mail from standard input read."""
    file = tmp_path / "mbox"
    file.write_bytes(b"From MAILER-DAEMON Tue Nov  3 09:14:02 2026\n" + raw("qmail"))
    read(BOOK, [str(file)], Output(as_json=True))
    assert json.loads(capsys.readouterr().out)["kind"] == "bounce"


def test_a_name_that_is_no_utf_8_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """JSON has no other text."""
    file = tmp_path / "a\udcff.eml"
    file.write_bytes(raw("qmail"))
    read(BOOK, [str(file)], Output(as_json=True))
    assert json.loads(capsys.readouterr().out)["file"].endswith("a\\udcff.eml")


def test_standard_input_is_read(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """`-` stands for it."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(raw("qmail"))))
    read(BOOK, ["-"], Output(as_json=True))
    assert json.loads(capsys.readouterr().out)["recipients"][0]["recipient"] == "ada@example.test"


def test_what_is_shown_is_whom_the_message_was_addressed_to(capsys: pytest.CaptureFixture[str]) -> None:
    """Not where he forwards his mail to."""
    read(BOOK, [str(CORPUS / "dsn_forwarded_alias.eml")], Output(as_json=True))
    assert json.loads(capsys.readouterr().out)["recipients"][0]["recipient"] == "ada@example.test"


@pytest.mark.parametrize(("name", "said"), [("", "is a directory"), ("missing.eml", "No such file")])
def test_what_is_no_mail_is_missing_input(tmp_path: Path, name: str, said: str) -> None:
    """Exit code 66, with a hint."""
    with pytest.raises(MissingInput, match=said):
        read(BOOK, [str(tmp_path / name)], Output())


@pytest.mark.parametrize(
    ("reported", "expected"),
    [
        (Reported(action="failed", status="5.3.4", code=552, reply="552 5.3.4 no"), "message_too_large"),
        (Reported(action="failed", status="5.3.4"), "message_too_large"),
        (Reported(action="delayed", status="4.4.7"), "remote_temporary"),
        (Reported(action="failed"), "undetermined"),
        (Reported(action="delivered", status="2.0.0", code=250), ""),
        (Reported(), ""),
    ],
)
def test_the_class_is_that_of_the_reply_or_of_the_status(reported: Reported, expected: str) -> None:
    """Where nothing was refused there is none."""
    assert class_of(reported, CLASSIFIER) == expected
