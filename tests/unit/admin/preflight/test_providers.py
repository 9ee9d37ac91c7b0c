import pytest

from mta.admin.grade import Grade
from mta.admin.preflight.finding import Check, Finding, passed
from mta.admin.preflight.providers import REQUIREMENTS, SPOKEN, WATCH, Provider, standing

ALL_WELL = [passed(check, "x", "x") for check in Check]


def but(*wrong: tuple[Check, Grade]) -> list[Finding]:
    """All well, and these beside it."""
    return [*ALL_WELL, *(Finding(check, "x", result, "x", "x") for check, result in wrong)]


def who(table: dict[Provider, dict[str, Grade]], name: str) -> dict[str, str]:
    return {provider: row[name] for provider, row in table.items() if name in row}


def test_all_well_is_a_table_of_passes() -> None:
    """Each provider has the rows it asks for, and each something that nobody sees here."""
    table = standing(ALL_WELL)
    assert {result for row in table.values() for result in row.values()} == {Grade.PASS}
    assert set(table) == set(SPOKEN) == set(WATCH) == set(Provider)
    assert set(table[Provider.YAHOO]) == {one.name for one in REQUIREMENTS}
    assert set(table[Provider.ICLOUD]) == {"spf", "dkim", "dmarc", "alignment", "ptr"}


@pytest.mark.parametrize(
    ("check", "name", "providers"),
    [
        (Check.SPF_SOURCE, "spf", "gmail yahoo outlook icloud"),
        (Check.DKIM_SIGNATURE, "dkim", "gmail yahoo outlook icloud"),
        (Check.DMARC_POLICY, "dmarc", "gmail yahoo outlook icloud"),
        (Check.PTR, "ptr", "gmail yahoo outlook icloud"),
        (Check.PTR_NAME, "ptr_name", "yahoo"),
        (Check.DKIM_BITS, "dkim_bits", "gmail yahoo"),
        (Check.RETURN_PATH_SOA, "soa", "yahoo"),
        (Check.ONE_CLICK, "one_click", "gmail yahoo"),
        (Check.TLS, "tls", "gmail yahoo"),
    ],
)
def test_a_finding_counts_for_who_asks_for_it(check: Check, name: str, providers: str) -> None:
    """The worst decides, and only in its row."""
    for result in (Grade.WARN, Grade.UNKNOWN, Grade.FAIL):
        table = standing(but((check, Grade.WARN), (check, result)))
        assert who(table, name) == dict.fromkeys(providers.split(), result)
        assert sum(one is result for row in table.values() for one in row.values()) == len(providers.split())


def test_one_aligned_way_is_enough_for_some() -> None:
    """Gmail and Outlook.com want both, better late than never."""
    some = standing(
        [passed(Check.DKIM_ALIGNMENT, "x", "x"), Finding(Check.SPF_ALIGNMENT, "x", Grade.WARN, "x")]
    )
    assert who(some, "alignment") == {"gmail": "warn", "yahoo": "pass", "outlook": "warn", "icloud": "pass"}


def test_what_was_not_looked_at_is_unknown() -> None:
    """Never a pass."""
    assert {result for row in standing([]).values() for result in row.values()} == {Grade.UNKNOWN}
