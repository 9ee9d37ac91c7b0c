import msgspec
import pytest
from jinja2 import Environment, StrictUndefined

from loadtest import letters
from mta.model.lane import Lane


@pytest.mark.parametrize("octets", [0, 2, 3, 70, 71, 72, 1000, 40_001])
def test_filler_has_its_size_on_the_wire(octets: int) -> None:
    """With CRLF line ends it is as long as asked for, or one octet less, in lines a mail may have."""
    wire = letters.filler(octets).replace("\n", "\r\n")
    assert octets - 1 <= len(wire) <= octets
    assert all(len(line) <= 78 for line in wire.splitlines())


def test_no_filler() -> None:
    """Fewer octets than a line end, or fewer than none, are none."""
    assert letters.filler(1) == letters.filler(-5) == ""


def test_content_grows_by_the_filler() -> None:
    """Text and html together grow by what was asked for."""
    small, large = letters.content(0), letters.content(5000)
    grown = sum(
        len(large[part].replace("\n", "\r\n")) - len(small[part].replace("\n", "\r\n")) for part in small
    )
    assert grown == 5000


@pytest.mark.parametrize("part", ["subject", "text", "html"])
def test_letter_is_personal(part: str) -> None:
    """Each recipient's data fills the template, and makes it differ from every other's."""
    environment = Environment(undefined=StrictUndefined)
    template = environment.from_string(letters.content(0)[part])
    one, other = (letters.recipient(address)["data"] for address in letters.addresses("x", 2))
    assert (template.render(**one) != template.render(**other)) == (part != "subject")
    assert set(one) == set(letters.VARIABLES)


def test_addresses_are_unique_and_continue() -> None:
    """No address twice, over all calls with one tag."""
    both = letters.addresses("bulk", 100) + letters.addresses("bulk", 100, 100)
    assert len(set(both)) == 200


def test_payload_and_subject_agree() -> None:
    """Lane and campaign in the body are those of the subject, else the payload would be rejected."""
    body = msgspec.json.decode(letters.payload("p", Lane.TRANSACTIONAL, letters.content(0), ["a@d0.test"]))
    assert (
        letters.subject(Lane.TRANSACTIONAL)
        == f"mta.payload.{body['lane']}.{body['tenant']}.{body['campaign']}"
    )
    assert letters.subject(Lane.BULK) != letters.subject(Lane.TRANSACTIONAL)


def test_campaign_of_its_own() -> None:
    """In the body as in the subject."""
    body = msgspec.json.decode(letters.payload("p", Lane.BULK, letters.content(0), ["a@d0.test"], "dead"))
    assert (body["campaign"], letters.subject(Lane.BULK, "dead")) == ("dead", "mta.payload.bulk.load.dead")
