"""How the two lanes share what both want: transactional mail first, and a share for bulk that nothing takes from it."""

from mta.model.lane import Lane

_ROUNDING = 1e-9


class LaneShare:
    """`share` (0 to 1) is what bulk gets while both wait. What a lane does not use is not saved for later: whoever
    finds that one has nothing calls `forgive`."""

    __slots__ = ("_owed", "_share")

    def __init__(self, share: float) -> None:
        self._share = share
        self._owed = 0.0

    @property
    def is_bulk_due(self) -> bool:
        """Bulk comes first now, if any waits."""
        return self._owed >= 1.0 - self._share - _ROUNDING

    def note(self, lane: Lane, count: int = 1) -> None:
        """So many of a lane were taken. A large piece of bulk is paid back before its next one, and never more than
        that: what it took while nobody else waited is nobody's loss."""
        if lane is Lane.BULK:
            piece = count * (1.0 - self._share)
            self._owed = max(self._owed - piece, -piece)
        else:
            self._owed += count * self._share

    def forgive(self) -> None:
        """One of them had nothing."""
        self._owed = 0.0
