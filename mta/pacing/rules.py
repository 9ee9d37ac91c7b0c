"""What shaping.toml says shall happen by itself: automation, the breaker of campaigns, warm-up plans. Only data and the
question whether a reply is one a rule is about. Pure.
"""

import re
from enum import StrEnum

from msgspec import Struct

from mta.model.outcome import BounceClass, Verdict
from mta.model.reply import Reply
from mta.pacing.action import ActionKind
from mta.queue.settings import RateLimit

_MOST_CHARS = 2_000
"""Of a reply a rule looks at: more than providers write, and a bound for what a pattern costs."""


class At(StrEnum):
    """What an automatic action takes hold of, seen from the attempt that brought it about."""

    PATH = "path"
    """This source to this site."""
    PROVIDER = "provider"
    """This source to all sites of the provider; where they are nobody's (`other`), to this site."""
    SITE = "site"
    """All sources to this site."""
    HOST = "host"
    """This source to this MX host."""
    SOURCE = "source"
    """This source everywhere."""
    STREAM = "stream"
    """The tenant's stream from this From domain, at this provider: others' mail goes on."""
    CAMPAIGN = "campaign"
    """This campaign of the tenant, everywhere."""


class AutomaticAction(Struct, frozen=True, gc=False):
    """`for_s` seconds from when the rule fires; fired again, it begins anew. `connections` and `message_rate` are those
    of a throttle."""

    kind: ActionKind
    at: At
    for_s: float
    connections: int | None = None
    message_rate: RateLimit | None = None


class AutomationRule(Struct, frozen=True, kw_only=True):
    """Fires when `count` replies within `window_s` seconds have fitted, counted apart for whatever each action takes
    hold of. What is empty says nothing; at least one of classes, codes and text is named. `provider` empty: any
    but those `excepted`.
    `accused` are words of the verdict, such as `source_ip` or `dkim_domain`: the same class can be either's fault.
    `text` is searched in what `said` makes of the reply, `texts` are its alternatives; `provider_codes` are in lower
    case. `source` says where the rule comes from. `examples` fit, `counters` do not (`mta.config.automation`)."""

    name: str
    provider: str = ""
    excepted: frozenset[str] = frozenset()
    bounce_classes: frozenset[BounceClass] = frozenset()
    accused: frozenset[str] = frozenset()
    provider_codes: frozenset[str] = frozenset()
    text: str = ""
    texts: tuple[str, ...] = ()
    count: int = 1
    window_s: float = 3600.0
    actions: tuple[AutomaticAction, ...]
    source: str = ""
    examples: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()

    def is_of(self, provider: str) -> bool:
        """It can fire there."""
        return self.provider in ("", provider) and provider not in self.excepted

    def fits(self, provider: str, verdict: Verdict, text: str) -> bool:
        """Whether one refusal counts for this rule; `text` is from `said`."""
        return (
            self.is_of(provider)
            and (not self.bounce_classes or verdict.bounce_class in self.bounce_classes)
            and (not self.accused or verdict.accused in self.accused)
            and (not self.provider_codes or verdict.provider_code.lower() in self.provider_codes)
            and (not self.text or re.search(self.text, text, re.ASCII) is not None)
        )


def said(reply: Reply | None) -> str:
    """What the text of a rule is searched in: the lines of a reply in lower case, joined by spaces."""
    return " ".join(reply.lines)[:_MOST_CHARS].lower() if reply is not None else ""


class BreakerSettings(Struct, frozen=True, gc=False):
    """When a campaign is stopped: shares (0.003 is 0.3 %) within the last `window_s` seconds. Complaints are counted
    against what was delivered, and not before `least_delivered` were; spam classes and unknown users against all
    outcomes of recipients, and not before `least_outcomes`. A share of 0.0 is not watched."""

    is_on: bool = True
    complaint_share: float = 0.003
    spam_share: float = 0.05
    unknown_share: float = 0.1
    least_delivered: int = 1_000
    least_outcomes: int = 500
    window_s: float = 86_400.0


class WarmupPlan(Struct, frozen=True):
    """`steps` are the messages of each day on which mail was sent, ascending; after the last the source is warm."""

    name: str
    steps: tuple[int, ...]


class SourceWarmup(Struct, frozen=True):
    """How one source is warmed up. Empty `providers`: at each of them."""

    plan: WarmupPlan
    providers: tuple[str, ...] = ()

    def holds_at(self, provider: str) -> bool:
        return not self.providers or provider in self.providers
