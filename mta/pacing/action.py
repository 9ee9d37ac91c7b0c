"""What was decided about a part of the mail, by a rule, by health or by an operator, as a record: what it is aimed at,
what it does, why, and when it ends. Pure.

Actions lie in MTA_CONTROL under `action.<id>`, so that all nodes keep to them, a restart forgets none, and anybody can
list them or take one back. Each expires: there is none without an end.
"""

from enum import StrEnum
from hashlib import blake2b

import msgspec
from msgspec import Struct

from mta.model.sender import Sender
from mta.model.times import Moment
from mta.queue.settings import RateLimit

PREFIX = "action"
_ID_BYTES = 10
_ENCODER = msgspec.json.Encoder()


class ActionKind(StrEnum):
    SUSPEND = "suspend"
    """Nothing goes until it ends; then one connection, and one more at a time."""
    THROTTLE = "throttle"
    """Not more connections or messages than it says."""
    ALERT = "alert"
    """Nothing but that somebody should know."""


class Aim(Struct, frozen=True, omit_defaults=True, gc=False):
    """Mail for which all that is named here holds; what is empty says nothing. At least one thing is named."""

    source: str = ""
    provider: str = ""
    site: str = ""
    host: str = ""
    tenant: str = ""
    stream: str = ""
    from_domain: str = ""
    campaign: str = ""

    @property
    def is_of_senders(self) -> bool:
        """It is about whose mail it is, not only about the way that it takes."""
        return bool(self.tenant or self.stream or self.from_domain or self.campaign)

    def covers_path(self, source: str, provider: str, site: str) -> bool:
        """The whole path, not only some of the mail on it, or one of its hosts."""
        return not (self.is_of_senders or self.host) and _covers(
            (self.source, source), (self.provider, provider), (self.site, site)
        )

    def covers_host(self, source: str, host: str) -> bool:
        """One MX host as a whole, whatever goes there."""
        is_narrower = self.is_of_senders or self.site or self.provider
        return bool(self.host) and not is_narrower and _covers((self.source, source), (self.host, host))

    def covers(self, sender: Sender, source: str, provider: str, site: str) -> bool:
        """Mail of this sender on this path."""
        return _covers(
            (self.source, source),
            (self.provider, provider),
            (self.site, site),
            (self.tenant, sender.tenant),
            (self.stream, sender.stream),
            (self.from_domain, sender.from_domain),
            (self.campaign, sender.campaign),
        )

    def covers_sender(self, sender: Sender) -> bool:
        """Mail of this sender, on some path."""
        return self.is_of_senders and self.covers(sender, self.source, self.provider, self.site)

    def __str__(self) -> str:
        named = ((field, getattr(self, field)) for field in self.__struct_fields__)
        return " ".join(f"{field}={value}" for field, value in named if value)


class Action(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """`since` and `until` are seconds since the epoch. `rule` names the rule, `by` the node or person, `reason` is what
    a person gave; `reply`, `bounce_class` and `provider_code` are of the answer that brought it about, `count` how many
    such there were."""

    kind: ActionKind
    aim: Aim
    since: Moment
    until: Moment
    connections: int | None = None
    message_rate: RateLimit | None = None
    rule: str = ""
    by: str = ""
    reason: str = ""
    reply: str = ""
    bounce_class: str = ""
    provider_code: str = ""
    count: int = 0

    @property
    def id(self) -> str:
        """The same for the same thing done to the same mail by the same rule: done again, it replaces what was."""
        named = "\0".join(getattr(self.aim, field) for field in self.aim.__struct_fields__)
        text = f"{self.kind}\0{self.rule}\0{named}"
        return blake2b(text.encode(), digest_size=_ID_BYTES).hexdigest()

    @property
    def key(self) -> str:
        """In MTA_CONTROL."""
        return f"{PREFIX}.{self.id}"


class Curb(Struct, frozen=True, gc=False):
    """What all actions on one path come to: none before `until` (seconds since the epoch; 0.0: now), and not more than
    this. `until` may be past: then that is when it ended, and the way back begins there."""

    until: float = 0.0
    connections: int | None = None
    message_rate: RateLimit | None = None


NO_CURB = Curb()


def encode_action(action: Action) -> bytes:
    return _ENCODER.encode(action)


def decode_action(value: bytes) -> Action:
    """msgspec.MsgspecError for what is none."""
    return msgspec.json.decode(value, type=Action)


def _covers(*pairs: tuple[str, str]) -> bool:
    return all(not wanted or wanted == given for wanted, given in pairs)
