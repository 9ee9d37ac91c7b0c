"""The life of a session as a table. A pair without a row raises `KeyError`: there is no silent default."""

from enum import Enum, auto


class Life(Enum):
    OPEN = auto()
    ENDING = auto()
    """Nothing new is taken; what has begun is finished, then QUIT."""
    PARTING = auto()
    """421 heard: only listening."""
    QUITTING = auto()
    DEAD = auto()


class Turn(Enum):
    END = auto()
    """We want no more transactions here."""
    PART = auto()
    """The peer said 421."""
    DRAIN = auto()
    """Every reply that was due has come."""
    BREAK = auto()


LIVES: dict[Life, dict[Turn, Life]] = {
    Life.OPEN: {Turn.END: Life.ENDING, Turn.PART: Life.PARTING, Turn.BREAK: Life.DEAD},
    Life.ENDING: {
        Turn.END: Life.ENDING,
        Turn.PART: Life.PARTING,
        Turn.DRAIN: Life.QUITTING,
        Turn.BREAK: Life.DEAD,
    },
    Life.PARTING: {
        Turn.END: Life.PARTING,
        Turn.PART: Life.PARTING,
        Turn.DRAIN: Life.DEAD,
        Turn.BREAK: Life.DEAD,
    },
    Life.QUITTING: {Turn.END: Life.QUITTING, Turn.DRAIN: Life.DEAD, Turn.BREAK: Life.DEAD},
    Life.DEAD: {Turn.END: Life.DEAD, Turn.BREAK: Life.DEAD},
}
