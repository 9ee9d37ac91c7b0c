import pytest

from loadtest.herd import SCHEDULE, Herd


def due(second: int) -> dict[str, str]:
    return {SCHEDULE: f"@at 2026-11-22T07:{second // 60:02}:{second % 60:02}Z"}


@pytest.mark.parametrize(("step_s", "is_one"), [(1, False), (3, False), (0, True)])
def test_a_herd_comes_back_at_once(step_s: int, is_one: bool) -> None:
    """A hundred messages of 500: one each second is none, all in the same are."""
    herd = Herd()
    for number in range(100):
        herd.note(due(number * step_s), 500)
    assert herd.recipients == 50_000
    assert herd.span_s == 99 * step_s + 1
    assert herd.is_one is is_one


def test_busiest_ten_seconds() -> None:
    """Wherever they begin; what is due already is not looked at."""
    herd = Herd()
    for second, recipients in ((0, 7), (9, 5), (10, 6), (18, 4)):
        herd.note(due(second), recipients)
    herd.note({}, 1000)
    assert herd.busiest == 15
    assert Herd().busiest == Herd().span_s == 0
