"""Mail that is held on its way because of whose it is: parked until the action ends, without counting as an attempt.

Others' mail on the same path goes on. Actions on a whole path are not looked at here: they slow the path itself.
"""

import time
from random import Random
from typing import Any

from mta.delivery.parking import suspended
from mta.delivery.reference import Parked, Reference
from mta.model.path import EgressPath
from mta.pacing.actions import Actions

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
        return suspended(ref, until - now, HELD, self._rng)
