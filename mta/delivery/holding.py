"""Mail that is held on its way because of whose it is: parked until the action ends, without counting as an attempt.

Others' mail on the same path goes on. Actions on a whole path are not looked at here: they slow the path itself.
"""

import time
from random import Random
from typing import Any

from mta.delivery.reference import Parked, Reference
from mta.model.path import EgressPath
from mta.pacing.actions import Actions

_LONGEST_S = 3600.0
"""Parked for so long at a time: who comes back too late to hear that an action was taken back should not wait for its
end."""
_SPREAD = 1.2  # parked together, they must not all come back in the same second
HELD = "held"


class Holding:
    def __init__(self, actions: Actions, rng: Random) -> None:
        self._actions = actions
        self._rng = rng

    def parked(self, ref: Reference[Any], path: EgressPath) -> Parked | None:
        """None: it may go."""
        now = time.time()
        until = self._actions.held_until(ref.sender, path.source, ref.provider, path.site, now)
        if not until:
            return None
        wait_s = min(until - now, _LONGEST_S) * self._rng.uniform(1.0, _SPREAD)
        return Parked(due_at=min(now + wait_s, ref.expires_at), reason=HELD, is_held=True)
