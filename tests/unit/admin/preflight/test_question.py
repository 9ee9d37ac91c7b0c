import pytest

from mta.admin.preflight.question import Question, Reply, addresses_of, read
from mta.dns.record import Record
from tests.fakes.zone import Zone, ask


def record(owner: str, kind: str, value: str, preference: int = 0) -> Record:
    return Record(owner, kind, value, 300, preference)  # type: ignore[arg-type]


def test_only_records_of_the_name_and_kind_count() -> None:
    """A server may add whatever it likes."""
    records = [record("a.test", "TXT", "x"), record("b.test", "TXT", "y"), record("a.test", "A", "192.0.2.1")]
    assert read(Question("A.test", "TXT"), records) == Reply(("x",))


def test_a_chain_of_cnames_is_followed() -> None:
    """As keys of DKIM are delegated; a circle is trouble."""
    chain = [record("a.test", "CNAME", "b.test"), record("b.test", "CNAME", "c.test")]
    assert read(Question("a.test", "TXT"), [*chain, record("c.test", "TXT", "x")]) == Reply(("x",))
    assert read(Question("a.test", "TXT"), chain) == Reply()
    assert read(Question("a.test", "TXT"), [*chain, record("c.test", "CNAME", "a.test")]).trouble


def test_mx_come_by_preference() -> None:
    """In whatever order they were answered."""
    records = [record("a.test", "MX", "two.test", 20), record("a.test", "MX", "one.test", 10)]
    assert read(Question("a.test", "MX"), records).values == ("one.test", "two.test")


@pytest.mark.parametrize(
    ("zone", "wanted"),
    [
        ({("a.test", "A"): ("192.0.2.1",)}, Reply(("192.0.2.1",))),
        ({("a.test", "AAAA"): ("2001:db8::1",)}, Reply(("2001:db8::1",))),
        ({("a.test", "A"): "servfail", ("a.test", "AAAA"): ("2001:db8::1",)}, Reply(("2001:db8::1",))),
        ({("a.test", "AAAA"): "servfail", ("a.test", "TXT"): ("x",)}, Reply(trouble="servfail")),
        ({("a.test", "TXT"): ("x",)}, Reply()),
        ({}, Reply(is_missing=True)),
    ],
)
def test_addresses_are_of_both_kinds(zone: Zone, wanted: Reply) -> None:
    """Trouble is told only where there is nothing else."""
    assert ask(zone, addresses_of("a.test")) == wanted
