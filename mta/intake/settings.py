"""How much is taken in at once, and what tenants may ask for."""

from msgspec import Struct


class IntakeSettings(Struct, frozen=True):
    """`payloads_in_work` and `campaigns_at_once` are per daemon. Pulls ask only while less than `in_hand_s` seconds
    of sendable recipients are in hand; the transactional lane has room of its own, counted in recipients."""

    payloads_in_work: int = 200
    campaigns_at_once: int = 64
    in_hand_s: float = 3.0
    transactional_recipients: int = 20_000
    pull_expires_s: float = 2.0
    renew_s: float = 5.0
    ack_wait_s: float = 30.0
    margin_s: float = 5.0
    look_s: float = 1.0
    """Between two looks at which campaigns hold messages."""
    turn_s: float = 30.0
    """How long a window of campaigns lasts where there are more than `campaigns_at_once`."""
    linger_s: float = 30.0
    """An empty campaign keeps its consumer for so long: making one costs two fsyncs."""
    pause_s: float = 10.0
    """Of a consumer before it may be deleted."""


class DomainPolicy(Struct, frozen=True):
    """One From domain of a tenant: `selectors` are those of its DKIM keys (none: nothing signs)."""

    name: str
    selectors: tuple[str, ...] = ()
    require_dkim: bool = True


class TenantPolicy(Struct, frozen=True):
    """What a tenant may use. `pools` in order of preference, the first is the default; `campaign_pools` are those of
    campaigns, whose names may end in `*`: the longest that fits holds. `domains` by A-label name."""

    name: str
    pools: tuple[str, ...]
    return_path: str
    domains: dict[str, DomainPolicy]
    skip_suppression: bool = False
    campaign_pools: dict[str, str] = {}

    def pool_of(self, campaign: str) -> str:
        """The pool of mail that asks for none: that of its campaign, else the first; empty: there is none."""
        if (named := self.campaign_pools.get(campaign)) is not None:
            return named
        fitting = [
            name for name in self.campaign_pools if name.endswith("*") and campaign.startswith(name[:-1])
        ]
        if fitting:
            return self.campaign_pools[max(fitting, key=len)]
        return self.pools[0] if self.pools else ""
