from mta.admin.grade import Grade
from mta.admin.preflight.finding import Check, failed, passed, shown, unknown, warned


def test_what_others_wrote_is_cut() -> None:
    """A record may have 64 kB."""
    assert shown("x" * 120) == "x" * 120
    assert shown("x" * 60_000) == "x" * 119 + "…"


def test_each_word_makes_its_finding() -> None:
    """All but a pass say what to do."""
    made = [
        passed(Check.TLS, "x", "y"),
        warned(Check.TLS, "x", "y", "z"),
        unknown(Check.TLS, "x", "y"),
        failed(Check.TLS, "x", "y", "z"),
    ]
    assert [one.result for one in made] == list(Grade)
    assert [bool(one.todo) for one in made] == [False, True, True, True]
