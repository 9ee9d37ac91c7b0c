import json

import pytest

from mta.admin.mailing import MOST_BYTES, MOST_RECIPIENTS, Mailing, address, payloads
from mta.admin.rows import Row
from mta.intake.decode import Decoded, decode
from mta.model.lane import Lane

MAILING = Mailing(tenant="acme", sender="Acme <news@acme.test>", subject="Hi", html="<p>", campaign="spring")


def people(count: int, size: int = 1) -> list[Row]:
    return [Row(n, {"email": f"r{n}@x.test", "data": {"x": "y" * size}}) for n in range(count)]


def test_a_payload_is_one_the_daemon_takes() -> None:
    """With everything that was asked for."""
    mailing = Mailing(
        tenant="acme",
        sender="news@acme.test",
        subject="S",
        html="H",
        text="T",
        campaign="c",
        stream="receipts",
        lane=Lane.TRANSACTIONAL,
    )
    (one,) = payloads(mailing, people(2))
    decoded = decode(one.body)
    assert isinstance(decoded, Decoded)
    payload = decoded.payload
    assert (payload.tenant, payload.campaign, payload.stream, payload.lane) == (
        "acme",
        "c",
        "receipts",
        Lane.TRANSACTIONAL,
    )
    assert (payload.content.subject, payload.content.html, payload.content.text) == ("S", "H", "T")
    assert one.subject == "mta.payload.transactional.acme.c"
    assert one.msg_id == f"acme/{payload.id}"
    assert one.recipients == 2


def test_payloads_are_cut_by_number() -> None:
    """At 500 recipients, in the order of the file, none twice and none lost."""
    made = list(payloads(MAILING, people(1001)))
    assert [one.recipients for one in made] == [MOST_RECIPIENTS, MOST_RECIPIENTS, 1]
    emails = [recipient["email"] for one in made for recipient in json.loads(one.body)["recipients"]]
    assert emails == [f"r{n}@x.test" for n in range(1001)]


def test_payloads_are_cut_by_size() -> None:
    """Below 1 MB, however large the data."""
    made = list(payloads(MAILING, people(200, 15_000)))
    assert len(made) > 1
    assert max(len(one.body) for one in made) <= MOST_BYTES + 200
    assert sum(one.recipients for one in made) == 200


def test_the_same_again_has_the_same_ids() -> None:
    """Whatever else is sent has others."""
    first, again = list(payloads(MAILING, people(600))), list(payloads(MAILING, people(600)))
    assert [one.msg_id for one in first] == [one.msg_id for one in again]
    assert len({one.msg_id for one in first}) == 2
    other = Mailing(tenant="acme", sender="news@acme.test", subject="Hi", html="<p>", campaign="summer")
    assert {one.msg_id for one in payloads(other, people(600))}.isdisjoint(one.msg_id for one in first)


def test_templates_that_fill_a_payload_are_refused() -> None:
    """There would be no room for a recipient."""
    mailing = Mailing(tenant="a", sender="a@b.test", subject="S", html="x" * MOST_BYTES)
    with pytest.raises(ValueError, match="the templates are too large"):
        next(payloads(mailing, people(1)))


def test_nobody_makes_no_payload() -> None:
    """An empty list is not an empty payload."""
    assert list(payloads(MAILING, [])) == []


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a@b.test", {"email": "a@b.test"}),
        ("<a@b.test>", {"email": "a@b.test"}),
        ("Acme <a@b.test>", {"email": "a@b.test", "name": "Acme"}),
        ('"Acme, Inc." <a@b.test>', {"email": "a@b.test", "name": "Acme, Inc."}),
    ],
)
def test_a_sender_may_have_a_name(text: str, want: dict[str, str]) -> None:
    """As people write it."""
    assert address(text) == want


@pytest.mark.parametrize(
    "text", ["", "acme", "Acme <acme>", "a@b.test c@d.test", "<a@b.test", "a@b.test\r\nBcc: c@d.test"]
)
def test_what_is_no_sender_is_refused(text: str) -> None:
    """The exact bytes or nothing."""
    with pytest.raises(ValueError, match="is no sender"):
        address(text)


def test_a_way_out_travels_with_the_payload() -> None:
    """The address to unsubscribe at becomes the payload's own field, which marketing needs."""
    mailing = Mailing(
        tenant="acme",
        sender="news@acme.test",
        subject="Hello",
        text="Hi",
        stream="marketing",
        unsubscribe="leave@acme.test",
    )
    assert mailing.shared()["unsubscribe"] == {"mailto": "leave@acme.test"}
