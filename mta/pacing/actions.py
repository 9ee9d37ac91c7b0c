"""All actions in effect, as MTA_CONTROL has them. Pure; times are seconds since the epoch.

Bounded: whoever floods the bucket gets the oldest forgotten here first, never the daemon out of memory.
"""

from collections import OrderedDict

import msgspec

from mta.model.sender import Sender
from mta.pacing.action import NO_CURB, PREFIX, Action, ActionKind, Curb, decode_action
from mta.queue.settings import RateLimit

_MOST = 10_000
REMEMBERED_S = 3600.0
"""How long after its end a suspension still says when it ended: as long as a way back may take."""


class Actions:
    """`version` changes with each change, so that who has asked before knows whether to ask again."""

    def __init__(self) -> None:
        self._actions: OrderedDict[str, Action] = OrderedDict()
        self._holding: dict[str, dict[str, Action]] = {}
        """Suspensions that are of senders, by the tenant they name: it is asked for each recipient."""
        self._by_path: dict[tuple[str, str, str], list[Action]] = {}
        """Asked for each message; forgotten with each change."""
        self.version = 0

    def __len__(self) -> int:
        return len(self._actions)

    def apply(self, key: str, value: bytes | None) -> Action | None:
        """Take in a change of the bucket: the action that is new, or None where it is gone, or no action. What cannot
        be read is left out: nobody knows whom it would stop."""
        if value is None:
            prefix, _, found = key.partition(".")
            if prefix == PREFIX:
                self._drop(found)
            return None
        action = read_action(key, value)
        if action is not None:
            self.put(action)
        return action

    def put(self, action: Action) -> None:
        self._drop(action.id)
        self._actions[action.id] = action
        if action.kind is ActionKind.SUSPEND and action.aim.is_of_senders:
            self._holding.setdefault(action.aim.tenant, {})[action.id] = action
        self._change()
        if len(self._actions) > _MOST:
            self._drop(next(iter(self._actions)))

    def get(self, action_id: str) -> Action | None:
        return self._actions.get(action_id)

    def in_force(self, now: float) -> list[Action]:
        return [action for action in self._actions.values() if action.until > now]

    def curb(self, source: str, provider: str, site: str, now: float) -> Curb:
        """What holds for a whole path."""
        if not self._actions:
            return NO_CURB
        return _summed([a for a in self._actions.values() if a.aim.covers_path(source, provider, site)], now)

    def curb_of_host(self, source: str, host: str, now: float) -> Curb:
        """What holds for one MX host, for all mail of the source."""
        if not self._actions:
            return NO_CURB
        return _summed([a for a in self._actions.values() if a.aim.covers_host(source, host)], now)

    def held_until(self, sender: Sender, source: str, provider: str, site: str, now: float) -> float:
        """Until when mail of this sender is held on this path because of whose it is; 0.0: it is not."""
        if not self._holding:
            return 0.0
        ends = [
            action.until
            for tenant in (sender.tenant, "")
            for action in self._holding.get(tenant, {}).values()
            if action.until > now and action.aim.covers(sender, source, provider, site)
        ]
        return max(ends, default=0.0)

    def forget_ended(self, now: float) -> None:
        """Watchers are not told when a key expires by its own."""
        for key, action in list(self._actions.items()):
            if action.until + REMEMBERED_S < now:
                self._drop(key)

    def _drop(self, key: str) -> None:
        action = self._actions.pop(key, None)
        if action is not None:
            self._forget_holding(action)
            self._change()

    def _change(self) -> None:
        self._by_path.clear()
        self.version += 1

    def _forget_holding(self, action: Action) -> None:
        holding = self._holding.get(action.aim.tenant, {})
        if holding.pop(action.id, None) is not None and not holding:
            del self._holding[action.aim.tenant]


def read_action(key: str, value: bytes) -> Action | None:
    """None for another key of the bucket, and for what cannot be read or lies under a key that is not its own."""
    if not key.startswith(f"{PREFIX}."):
        return None
    try:
        action = decode_action(value)
    except msgspec.MsgspecError:
        return None
    return action if action.key == key else None


def _per_second(rate: RateLimit) -> float:
    return rate.count / rate.period_s


def _summed(found: list[Action], now: float) -> Curb:
    if not found:
        return NO_CURB
    held = [a for a in found if a.kind is ActionKind.SUSPEND]
    throttled = [a for a in found if a.kind is ActionKind.THROTTLE and a.until > now]
    connections = [a.connections for a in throttled if a.connections is not None]
    rates = [a.message_rate for a in throttled if a.message_rate is not None]
    return Curb(
        until=max((action.until for action in held), default=0.0),
        connections=min(connections, default=None),
        message_rate=min(rates, key=_per_second, default=None),
    )
