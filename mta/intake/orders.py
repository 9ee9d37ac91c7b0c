"""What operators have withheld: pauses and cancellations as they stand in MTA_CONTROL. Pure.

Keys are `<verb>.campaign.<tenant>.<campaign>`, `<verb>.tenant.<tenant>` and `pause.lane.<lane>`, tokens escaped as in
subjects; values are `Order`s. The bucket is the truth: whoever knows it knows what may be sent.
"""

from collections.abc import Iterator
from enum import StrEnum

import msgspec
from msgspec import Struct

from mta.jetstream.subjects import kv_key, unescape
from mta.model.lane import Lane
from mta.model.times import Moment

NO_CAMPAIGN = "_"
FOREVER = float("inf")


class OrderVerb(StrEnum):
    PAUSE = "pause"
    CANCEL = "cancel"


class Target(Struct, frozen=True, gc=False):
    """A campaign of a tenant, a whole tenant (`campaign` empty), or a lane (`tenant` empty). `NO_CAMPAIGN` stands for
    payloads without a campaign."""

    tenant: str = ""
    campaign: str = ""
    lane: Lane | None = None

    def covers(self, lane: Lane, tenant: str, campaign: str) -> bool:
        """No tenant and no campaign: whoever's it is."""
        is_theirs = self.tenant in ("", tenant) and self.campaign in ("", campaign)
        return is_theirs and self.lane in (None, lane)

    def __str__(self) -> str:
        if self.lane is not None:
            return f"lane {self.lane}"
        return f"campaign {self.tenant}/{self.campaign}" if self.campaign else f"tenant {self.tenant}"


class Order(Struct, frozen=True, forbid_unknown_fields=False):
    """`until` is seconds since the epoch, 0.0: until it is taken back. `by` is who gave it."""

    reason: str = ""
    by: str = ""
    at: Moment = 0.0
    until: Moment = 0.0


_decoder = msgspec.json.Decoder(Order)
_encoder = msgspec.json.Encoder()


def order_key(verb: OrderVerb, target: Target) -> str:
    if target.lane is not None:
        return kv_key(verb, "lane", target.lane)
    if not target.campaign:
        return kv_key(verb, "tenant", target.tenant)
    return kv_key(verb, "campaign", target.tenant, _campaign(target.campaign))


def _campaign(name: str) -> str:
    """No campaign is the empty token, as in subjects."""
    return "" if name == NO_CAMPAIGN else name


def parse_key(key: str) -> tuple[OrderVerb, Target] | None:
    """None for a key that is none of ours."""
    tokens = key.split(".")
    if len(tokens) < 3 or tokens[0] not in OrderVerb.__members__.values():
        return None
    verb, kind, names = OrderVerb(tokens[0]), tokens[1], [unescape(token) for token in tokens[2:]]
    match kind, names:
        case "lane", [str(lane)] if lane in Lane.__members__.values():
            return verb, Target(lane=Lane(lane))
        case "tenant", [str(tenant)]:
            return verb, Target(tenant)
        case "campaign", [str(tenant), str(campaign)]:
            return verb, Target(tenant, campaign or NO_CAMPAIGN)
        case _:
            return None


def encode_order(order: Order) -> bytes:
    return _encoder.encode(order)


def decode_order(value: bytes) -> Order:
    """A value that cannot be read is an order without an end: somebody meant to stop something."""
    try:
        return _decoder.decode(value)
    except msgspec.DecodeError:
        return Order(reason="an order that cannot be read")


class Orders:
    """All that are in force. `apply` takes the changes of the bucket, whatever they are."""

    def __init__(self) -> None:
        self._orders: dict[tuple[OrderVerb, Target], Order] = {}

    def apply(self, key: str, value: bytes | None) -> tuple[OrderVerb, Target] | None:
        """What it is about; None for a key that is no order."""
        parsed = parse_key(key)
        if parsed is None:
            return None
        if value is None:
            self._orders.pop(parsed, None)
            return parsed
        self._orders[parsed] = decode_order(value)
        return parsed

    def items(self) -> list[tuple[OrderVerb, Target, Order]]:
        return [(verb, target, order) for (verb, target), order in self._orders.items()]

    def is_given(self, verb: OrderVerb, target: Target) -> bool:
        return (verb, target) in self._orders

    def cancelled(self, tenant: str, campaign: str) -> Order | None:
        """The order that withdraws it, if one does."""
        if not self._orders:
            return None
        return next(self._of(OrderVerb.CANCEL, None, tenant, campaign), None)

    def paused_until(self, lane: Lane, tenant: str, campaign: str, now: float) -> float:
        """The end of the longest pause that covers it, `FOREVER` if that has none, 0.0 if there is none."""
        if not self._orders:
            return 0.0
        ends = [order.until or FOREVER for order in self._of(OrderVerb.PAUSE, lane, tenant, campaign)]
        until = max(ends, default=0.0)
        return until if until > now else 0.0

    def is_lane_paused(self, lane: Lane, now: float) -> bool:
        order = self._orders.get((OrderVerb.PAUSE, Target(lane=lane)))
        return order is not None and (not order.until or order.until > now)

    def _of(self, verb: OrderVerb, lane: Lane | None, tenant: str, campaign: str) -> Iterator[Order]:
        targets = [Target(tenant, campaign or NO_CAMPAIGN), Target(tenant)]
        if lane is not None:
            targets.append(Target(lane=lane))
        for target in targets:
            order = self._orders.get((verb, target))
            if order is not None:
                yield order
