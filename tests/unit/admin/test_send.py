import json
from pathlib import Path
from typing import Any

import pytest

from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.send import lane_of, mailing_of, read_payload, read_text
from mta.model.lane import Lane

PAYLOAD: dict[str, Any] = {
    "v": 1,
    "id": "o-1",
    "tenant": "acme",
    "from": {"email": "a@acme.test"},
    "content": {"subject": "s", "text": "t"},
    "recipients": [{"email": "b@x.test"}],
}


def body(**changes: Any) -> bytes:
    return json.dumps({**PAYLOAD, **changes}, indent=1).encode()


def test_a_payload_goes_out_as_it_came() -> None:
    """Byte by byte, on its subject and under its id."""
    outgoing, malformed = read_payload(body(lane="transactional", campaign="c"), None)
    assert outgoing.body == body(lane="transactional", campaign="c")
    assert (outgoing.subject, outgoing.msg_id) == ("mta.payload.transactional.acme.c", "acme/o-1")
    assert malformed == ()


def test_a_payload_without_lane_is_bulk() -> None:
    """Unless the option says otherwise."""
    assert read_payload(body(), None)[0].subject == "mta.payload.bulk.acme._"
    assert read_payload(body(), Lane.TRANSACTIONAL)[0].subject == "mta.payload.transactional.acme._"


def test_a_lane_that_differs_is_refused() -> None:
    """The daemon would reject it."""
    with pytest.raises(WrongUsage, match="--lane transactional differs from the payload's lane, bulk"):
        read_payload(body(lane="bulk"), Lane.TRANSACTIONAL)


def test_a_payload_without_id_is_never_taken_for_another() -> None:
    """Sent twice on purpose, it is two."""
    first, second = (read_payload(body(id=""), None)[0] for _ in range(2))
    assert first.msg_id != second.msg_id


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "the payload is empty"),
        (b"{", r"would be rejected \(schema\)"),
        (body(recipients=[]), "at least one recipient"),
        (body(colour="red"), "unknown field `colour`"),
        (body(v=2), r"would be rejected \(unsupported\): payload version 2"),
        (b" " * 1_000_000 + body(), r"would be rejected \(too_large\)"),
    ],
)
def test_what_the_daemon_would_not_read_is_refused_here(content: bytes, said: str) -> None:
    """Sooner, and to who can mend it."""
    with pytest.raises(WrongInput, match=said):
        read_payload(content, None)


def test_a_bad_recipient_is_named_and_left_to_the_daemon() -> None:
    """Its event is what a sender's program will see, too."""
    _, malformed = read_payload(body(recipients=[{"email": "b@x.test"}, {"mail": "c@x.test"}]), None)
    assert len(malformed) == 1
    assert malformed[0].startswith("recipient 1: ")


def test_lanes_are_named() -> None:
    """Or left to the payload."""
    assert lane_of("") is None
    assert lane_of("bulk") is Lane.BULK
    with pytest.raises(WrongUsage, match="--lane fast: expected transactional or bulk"):
        lane_of("fast")


def test_a_mailing_needs_a_tenant_and_a_sender(tmp_path: Path) -> None:
    """Both are said before anything is read from NATS."""
    (tmp_path / "t.html").write_text("<p>")
    options: dict[str, Any] = {
        "template": tmp_path / "t.html",
        "text": None,
        "subject": "s",
        "campaign": "",
        "stream": "",
        "lane": None,
    }
    made = mailing_of(None, sender="a@acme.test", tenant="acme", **options)
    assert (made.html, made.text, made.lane) == ("<p>", "", Lane.BULK)
    with pytest.raises(WrongUsage, match="--tenant is needed: no tenant is configured here"):
        mailing_of(None, sender="a@acme.test", tenant="", **options)
    with pytest.raises(WrongUsage, match="--from: 'acme' is no sender"):
        mailing_of(None, sender="acme", tenant="acme", **options)


def test_a_template_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """Not there, or no text."""
    with pytest.raises(MissingInput, match=r"t.html: No such file"):
        read_text(tmp_path / "t.html")
    (tmp_path / "t.html").write_bytes(b"\xff")
    with pytest.raises(WrongInput, match=r"t.html: is not UTF-8"):
        read_text(tmp_path / "t.html")
