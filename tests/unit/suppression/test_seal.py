import pytest

from mta.model.token import TokenKey, TokenReader
from mta.suppression.seal import Seal

OLD, NEW = TokenKey("k1", b"1" * 16), TokenKey("k2", b"2" * 16)
ADDRESS = "bjørn@example.test"


def test_who_has_the_key_reads_the_address() -> None:
    """Also with an older key; equal for equal, so that an event is the same when told again."""
    sealed = Seal((OLD,)).seal("acme", ADDRESS)
    assert sealed == Seal((OLD,)).seal("acme", ADDRESS)
    assert Seal((OLD, NEW)).open("acme", sealed) == ADDRESS
    assert Seal((OLD, NEW)).seal("acme", ADDRESS) == Seal((NEW,)).seal("acme", ADDRESS)


def test_nobody_else_does() -> None:
    """Another key, another tenant, a changed letter, and anything at all."""
    sealed = Seal((OLD,)).seal("acme", ADDRESS)
    assert "example" not in sealed
    assert Seal((NEW,)).open("acme", sealed) == ""
    assert Seal((OLD,)).open("other", sealed) == ""
    assert Seal((OLD,)).open("acme", ("A" if sealed[0] != "A" else "B") + sealed[1:]) == ""


@pytest.mark.parametrize("text", ["", "x", "====", "é" * 40, "A" * 5_000, "AAAA"])
def test_what_is_no_seal_opens_to_nothing(text: str) -> None:
    """Without an error."""
    assert Seal((OLD,)).open("acme", text) == ""


def test_it_is_no_token() -> None:
    """Whoever reads it in an event can unsubscribe nobody with it."""
    assert TokenReader((OLD,)).one_click("k1" + Seal((OLD,)).seal("acme", ADDRESS)) is None


def test_without_a_key_nothing_is_sealed() -> None:
    """Nor without an address."""
    assert Seal(()).seal("acme", ADDRESS) == ""
    assert Seal(()).open("acme", Seal((OLD,)).seal("acme", ADDRESS)) == ""
    assert Seal((OLD,)).seal("acme", "") == ""
