from collections import Counter

import msgspec
import pytest
from jinja2 import Environment, StrictUndefined

from mta.config.load import shipped
from mta.demo.destinations import UNKNOWN_PREFIX
from mta.demo.mailing import payloads, read_recipients

RECIPIENTS = shipped("demo/recipients.csv")


def test_shipped_recipients() -> None:
    """A thousand different addresses, in the shares the destinations are made for, a few unknown at one."""
    rows = read_recipients(RECIPIENTS, 1000)
    shares = Counter(row["email"].rpartition("@")[2].split(".")[-2] for row in rows)
    assert shares == {"google": 450, "yahoo": 250, "other": 300}
    assert len({row["email"] for row in rows}) == 1000
    unknown = [row["email"] for row in rows if row["email"].startswith(UNKNOWN_PREFIX.decode())]
    assert len(unknown) == 20
    assert all("google.test" in address for address in unknown)
    assert all(
        row["email"].isascii() and row["voucher"] and row["store"] and row["first_name"] for row in rows
    )


def test_file_begins_again_with_numbered_addresses() -> None:
    """More recipients than rows are still all different, and go to the same destinations."""
    rows = read_recipients(RECIPIENTS, 2100)
    assert len({row["email"] for row in rows}) == 2100
    local, _, domain = rows[0]["email"].rpartition("@")
    assert rows[1000]["email"] == f"{local}+1@{domain}"
    assert rows[2000]["email"] == f"{local}+2@{domain}"


def test_payloads_are_cut_at_five_hundred() -> None:
    """Each payload has its id and its `Nats-Msg-Id`, and all recipients are in one."""
    outgoing = payloads(1200)
    assert [len(payload.recipients) for payload in outgoing] == [500, 500, 200]
    assert len({payload.msg_id for payload in outgoing}) == 3
    body = msgspec.json.decode(outgoing[0].body)
    assert (body["tenant"], body["lane"], outgoing[0].msg_id) == ("demo", "bulk", f"demo/{body['id']}")
    assert outgoing[0].subject == "mta.payload.bulk.demo.anniversary"


@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_offer_is_personal(part: str) -> None:
    """Every template renders with the recipient's data alone, nothing undefined."""
    body = msgspec.json.decode(payloads(1)[0].body)
    data = body["recipients"][0]["data"]
    rendered = Environment(undefined=StrictUndefined).from_string(body["content"][part]).render(**data)
    assert data["store"] in rendered
    assert "{{" not in rendered


def test_empty_file(tmp_path: object) -> None:
    """A file without rows is refused, not repeated for ever."""
    path = RECIPIENTS.__class__(str(tmp_path)) / "none.csv"
    path.write_text("email,first_name,store,voucher\n")
    with pytest.raises(ValueError, match="no recipients"):
        read_recipients(path, 1)
