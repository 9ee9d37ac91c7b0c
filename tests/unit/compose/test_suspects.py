import pytest

from mta.compose.spec import Sources, encode_spec
from mta.compose.suspects import (
    ALLOWED_S,
    CLEARED_BY,
    CONTENTS_OF_A_SUSPECT_TENANT,
    PROVEN_BY,
    SHORTER_AFTER,
    STRUCK_OFF_AFTER,
    SUSPECT_S,
    Death,
    Next,
    Suspects,
    Who,
    after_death,
    allowance_s,
    inspection_s,
    who_of,
    who_wrote,
)
from tests.unit.compose.builders import addressee, group, spec

GUILTY, OTHER = Who("acme", b"guilty"), Who("acme", b"other")


def struck(*whos: Who) -> Suspects:
    suspects = Suspects()
    for who in whos:
        suspects.strike(who, 0.0)
    return suspects


@pytest.mark.parametrize(
    ("death", "contents", "deaths", "then"),
    [
        (Death.OVERDUE, 1, 0, Next.QUARANTINE),
        (Death.OVERDUE, 2, 0, Next.SPLIT),
        (Death.CRASH, 1, 0, Next.AGAIN),
        (Death.CRASH, 1, 1, Next.QUARANTINE),
        (Death.CRASH, 2, 0, Next.SPLIT),
        (Death.MEMORY, 1, 0, Next.QUARANTINE),
        (Death.BUG, 1, 0, Next.QUARANTINE),
        (Death.BUG, 2, 0, Next.SPLIT),
        (Death.POOL, 1, 0, Next.FAIL),
        (Death.POOL, 2, 0, Next.FAIL),
    ],
)
def test_after_death(death: Death, contents: int, deaths: int, then: Next) -> None:
    """Contents are told apart first; a crash may be nobody's fault once; a broken pool is ours."""
    assert after_death(death, contents, deaths) is then


def test_suspicion_is_of_content_and_tenant() -> None:
    """Not of payload, recipients or their data; another tenant's same templates are another's."""
    one = who_of(spec(payload_id="p1", data=b'{"a":1}'))
    assert who_of(spec(payload_id="p2", data=b'{"a":2}', accepted_at=1.0)) == one
    assert who_of(spec(tenant="other")) != one
    for field in ("subject", "text", "html", "amp", "from_name"):
        assert who_of(spec(**{field: "{{ else }}"})) != one
    assert who_of(spec(headers={"X-A": "{{ a }}"})) != one


def test_a_spec_is_decoded_once() -> None:
    """What it is known by is kept under its key."""
    suspects = Suspects()
    blob = encode_spec(spec())
    assert suspects.who(blob) is suspects.who(blob)
    assert suspects.who(blob) == who_of(spec())


def test_templates_alone_are_known_by_their_text() -> None:
    """Whoever asks."""
    assert who_wrote(Sources({"html": "a"})) == who_wrote(Sources({"html": "a"}))
    assert who_wrote(Sources({"html": "a"})) != who_wrote(Sources({"html": "b"}))


def test_nobody_is_suspected_at_first() -> None:
    """And asking costs nothing."""
    suspects = Suspects()
    assert not suspects.are_about(0.0)
    assert not suspects.is_suspect(GUILTY, 0.0)


def test_a_strike_makes_a_suspect_for_a_while() -> None:
    """The other contents of the tenant stay what they were."""
    suspects = struck(GUILTY)
    assert suspects.are_about(SUSPECT_S - 1)
    assert suspects.is_suspect(GUILTY, SUSPECT_S - 1)
    assert not suspects.is_suspect(OTHER, 0.0)
    assert not suspects.is_suspect(GUILTY, SUSPECT_S)
    assert not suspects.are_about(SUSPECT_S)


def test_strikes_at_the_same_time_do_not_add_up() -> None:
    """A thousand guilty recipients renew suspicion, they do not make it longer."""
    suspects = struck(*[GUILTY] * 1000)
    assert not suspects.is_suspect(GUILTY, SUSPECT_S)


def test_who_strikes_again_is_suspected_for_longer() -> None:
    """Up to a limit, and it is forgotten in the end."""
    suspects = struck(GUILTY)
    suspects.strike(GUILTY, SUSPECT_S)
    assert suspects.is_suspect(GUILTY, 3 * SUSPECT_S - 1)
    assert not suspects.is_suspect(GUILTY, 3 * SUSPECT_S)
    suspects.strike(GUILTY, 1e6)
    assert not suspects.is_suspect(GUILTY, 1e6 + SUSPECT_S)


def test_who_did_well_before_has_proved_it() -> None:
    """In its lane, while others were suspected; until it strikes itself."""
    suspects = Suspects()
    suspects.passed(OTHER, 0.0, PROVEN_BY)
    for number in range(CONTENTS_OF_A_SUSPECT_TENANT):
        suspects.strike(Who("acme", bytes([number])), 0.0)
    assert not suspects.is_suspect(OTHER, 1.0)
    suspects.strike(OTHER, 1.0)
    assert suspects.is_suspect(OTHER, 1.0)


def test_a_tenant_with_many_suspects_has_to_prove_the_others() -> None:
    """Fresh templates do not begin anew; those which come through are free again; other tenants are not concerned."""
    suspects = struck(*(Who("acme", bytes([number])) for number in range(CONTENTS_OF_A_SUSPECT_TENANT - 1)))
    assert not suspects.is_suspect(OTHER, 1.0)
    suspects.strike(GUILTY, 0.0)
    assert suspects.is_suspect(OTHER, 1.0)
    assert not suspects.is_suspect(Who("else", b"other"), 1.0)
    for _ in range(PROVEN_BY):
        suspects.passed(OTHER, 1.0)
    assert not suspects.is_suspect(OTHER, 1.0)
    suspects.strike(OTHER, 1.0)
    assert suspects.is_suspect(OTHER, 1.0)
    assert not suspects.is_suspect(Who("acme", b"new"), 1.0 + SUSPECT_S)


def test_one_content_is_one_suspect_of_its_tenant() -> None:
    """However often it struck."""
    assert not struck(*[GUILTY] * 100).is_suspect(OTHER, 0.0)


def test_many_that_pass_clear_a_suspect() -> None:
    """In a row, and more of them after each offence: one guilty in a thousand soon is no more than one strike."""
    suspects = struck(GUILTY)
    for needed in (CLEARED_BY, 4 * CLEARED_BY, 16 * CLEARED_BY):
        for _ in range(needed - 1):
            suspects.passed(GUILTY, 1.0)
        assert suspects.is_suspect(GUILTY, 1.0)
        suspects.passed(GUILTY, 1.0)
        assert not suspects.is_suspect(GUILTY, 1.0)
        suspects.strike(GUILTY, 1.0)
        assert suspects.is_suspect(GUILTY, 1.0)


def test_deadlines_shrink_with_kills() -> None:
    """A recipient that exceeded its allowance gets the whole time, then a fifth, then nothing more; others none the
    less for it once suspicion has ended."""
    suspects = struck(GUILTY)
    given = []
    for _ in range(STRUCK_OFF_AFTER + 1):
        given.append(suspects.deadline_s(GUILTY, 10.0, 1.0))
        suspects.kill(GUILTY, 1.0)
    assert given == [10.0] * SHORTER_AFTER + [2.0] * (STRUCK_OFF_AFTER - SHORTER_AFTER) + [0.0]
    assert suspects.deadline_s(OTHER, 10.0, 1.0) == 10.0
    assert suspects.has_killed(GUILTY, 1.0)
    assert not suspects.has_killed(OTHER, 1.0)
    late = 1.0 + SUSPECT_S
    assert not suspects.has_killed(GUILTY, late)
    assert suspects.deadline_s(GUILTY, 10.0, late) == 10.0


def test_allowance() -> None:
    """A few times what the work takes, far below the timeout, never above it."""
    one = [group(spec(), addressee())]
    full = [group(spec(text=str(number)), *(addressee(n) for n in range(8))) for number in range(8)]
    large = [group(spec(rfc822=b"x" * 100_000_000))]
    assert ALLOWED_S < allowance_s(one, 10.0) < 0.2
    assert allowance_s(one, 10.0) < allowance_s(full, 10.0) < 1.0
    assert allowance_s(large, 10.0) == 1.5
    assert allowance_s(full, 0.1) == 0.1


def test_inspection_allowance() -> None:
    """By the length of the templates."""
    assert inspection_s(Sources({"html": ""}), 10.0) == ALLOWED_S
    assert ALLOWED_S < inspection_s(Sources({"html": "x" * 256_000}), 10.0) < 1.5
    assert inspection_s(Sources({"html": ""}), 0.1) == 0.1
