"""The life of a session."""

import pytest

from mta.smtp.life import LIVES, Life, Turn

ROWS = {
    Life.OPEN: {Turn.END, Turn.PART, Turn.BREAK},
    Life.ENDING: set(Turn),
    Life.PARTING: set(Turn),
    Life.QUITTING: {Turn.END, Turn.DRAIN, Turn.BREAK},
    Life.DEAD: {Turn.END, Turn.BREAK},
}


@pytest.mark.parametrize("life", Life)
@pytest.mark.parametrize("turn", Turn)
def test_every_pair_has_a_row_or_raises(life: Life, turn: Turn) -> None:
    """There is no silent default, and no way back to life."""
    if turn in ROWS[life]:
        assert LIVES[life][turn].value >= life.value
    else:
        with pytest.raises(KeyError):
            LIVES[life][turn]
