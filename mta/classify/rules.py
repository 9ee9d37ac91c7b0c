"""What the 34 classes mean, and what a rule is. The rules themselves are data: `conf/bounces.toml`.

A rule narrows by what it names and is open in what it leaves out; the first match wins. The order of the layers is:
an operator's file, the provider's own rules, rules on provider codes of whomever, generic text, enhanced codes,
basic codes. `retry` is the one exception a rule may make to the basic code's word on whether to try again.

Invariants, which reading the file checks: bare 5.7.1 is nothing but `policy`; what accuses a mailbox needs a stage
that has named it (S-16).
"""

from msgspec import Struct

from mta.model.outcome import GREYLIST, RETRY_LONG, BounceType, Scope, Stage
from mta.model.outcome import BounceClass as B

GENERIC, ENHANCED, BASIC = "generic", "enhanced", "basic"
"""Layers that are no provider's."""


class ClassFacts(Struct, frozen=True, gc=False):
    """One row of the taxonomy. `accused` is what the peer blames, `scope` who backs off for it; the actions are those
    for a refusal that is tried again and for one that is not."""

    category: str
    type: BounceType
    accused: str
    scope: Scope
    again: tuple[str, ...]
    final: tuple[str, ...]


class Rule(Struct, frozen=True, gc=False):
    """Empty matches anything. `provider` limits it to those whose mail hosts are that provider's. `codes` are basic
    codes; `digit` 4 or 5 stands for all of them. `enhanced` are ranges of the second and third part of an enhanced
    code: (7, 606, 649); the first part is the basic code's business (S-18). `text` is searched in the normalised
    text, `provider_code` matches the whole code, whatever its case. `accused` overrides the class's. `retry`:
    "again" although it is a 5yz, "long" on the long schedule. `examples` come out at this rule, `counters` do not
    (`mta.config.proof`)."""

    layer: str
    name: str
    bounce_class: B
    provider: str = ""
    stages: frozenset[Stage] = frozenset()
    codes: frozenset[int] = frozenset()
    digit: int = 0
    enhanced: tuple[tuple[int, int, int], ...] = ()
    text: str = ""
    provider_code: str = ""
    accused: str = ""
    confidence: str = "high"
    retry: str = ""
    detail: str = ""
    examples: tuple[str, ...] = ()
    counters: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What events call it."""
        return f"{self.layer}:{self.name}"


class RuleBook(Struct, frozen=True):
    """All rules in the order of the files. `families` names, for a provider, others whose rules hold for it after its
    own."""

    operator: tuple[Rule, ...] = ()
    shipped: tuple[Rule, ...] = ()
    families: dict[str, tuple[str, ...]] = {}


_HARD, _SOFT, _BLOCK, _ADMIN = BounceType.HARD, BounceType.SOFT, BounceType.BLOCK, BounceType.ADMIN
_RETRY, _FAIL = ("retry",), ("fail",)

CLASSES: dict[B, ClassFacts] = {
    B.INVALID_RECIPIENT: ClassFacts(
        "recipient", _HARD, "recipient", Scope.RECIPIENT, _RETRY, ("suppress", "fail")
    ),
    B.INACTIVE_RECIPIENT: ClassFacts(
        "recipient", _HARD, "recipient", Scope.RECIPIENT, _RETRY, ("suppress", "fail")
    ),
    B.MAILBOX_FULL: ClassFacts("recipient", _SOFT, "recipient", Scope.RECIPIENT, (RETRY_LONG,), _FAIL),
    B.RECIPIENT_RATE_LIMITED: ClassFacts(
        "recipient", _SOFT, "recipient", Scope.RECIPIENT, (RETRY_LONG,), _FAIL
    ),
    B.RECIPIENT_REFUSED: ClassFacts("recipient", _BLOCK, "recipient", Scope.RECIPIENT, _RETRY, _FAIL),
    B.INVALID_DOMAIN: ClassFacts("domain", _HARD, "domain", Scope.SITE, _RETRY, _FAIL),
    B.RELAY_DENIED: ClassFacts("domain", _SOFT, "domain", Scope.HOST, ("next_mx", "retry"), _FAIL),
    B.DNS_FAILURE: ClassFacts("domain", _SOFT, "domain", Scope.SITE, _RETRY, _FAIL),
    B.IP_BLOCKED: ClassFacts(
        *("reputation", _BLOCK, "source_ip", Scope.SOURCE),
        *(("retry", "pause_source", "alert"), ("fail", "pause_source", "alert")),
    ),
    B.DOMAIN_BLOCKED: ClassFacts(
        *("reputation", _BLOCK, "dkim_domain", Scope.STREAM),
        *(("retry", "pause_stream", "alert"), ("fail", "pause_stream", "alert")),
    ),
    B.LOW_REPUTATION: ClassFacts(
        *("reputation", _BLOCK, "source_ip", Scope.SOURCE),
        *(("retry", "back_off"), ("fail", "pause_source", "alert")),
    ),
    B.SPAM_CONTENT: ClassFacts("content", _BLOCK, "message", Scope.MESSAGE, _RETRY, _FAIL),
    B.VIRUS: ClassFacts(
        *("content", _BLOCK, "message", Scope.MESSAGE),
        *(("retry", "pause_stream", "alert"), ("fail", "pause_stream", "alert")),
    ),
    B.ATTACHMENT_BLOCKED: ClassFacts("content", _BLOCK, "message", Scope.MESSAGE, _RETRY, _FAIL),
    B.MESSAGE_TOO_LARGE: ClassFacts("content", _SOFT, "message", Scope.MESSAGE, _RETRY, _FAIL),
    B.MALFORMED_MESSAGE: ClassFacts(
        "content", _ADMIN, "message", Scope.MESSAGE, ("retry", "alert"), ("fail", "alert")
    ),
    B.AUTH_FAILED: ClassFacts(
        *("authentication", _BLOCK, "dkim_domain", Scope.STREAM),
        *((RETRY_LONG, "pause_stream", "alert"), ("fail", "pause_stream", "alert")),
    ),
    B.SENDER_REJECTED: ClassFacts(
        *("authentication", _BLOCK, "sender", Scope.STREAM),
        *(("retry", "pause_stream", "alert"), ("fail", "pause_stream", "alert")),
    ),
    B.INFRASTRUCTURE_DNS: ClassFacts(
        *("authentication", _BLOCK, "source_ip", Scope.SOURCE),
        *(("next_mx", "retry", "pause_source", "alert"), ("fail", "pause_source", "alert")),
    ),
    B.TLS_REQUIRED: ClassFacts("authentication", _SOFT, "domain", Scope.SITE, _RETRY, _FAIL),
    B.POLICY: ClassFacts("policy", _BLOCK, "message", Scope.MESSAGE, _RETRY, _FAIL),
    B.RATE_LIMITED: ClassFacts(
        "rate", _SOFT, "source_ip", Scope.SOURCE, ("retry", "back_off"), ("fail", "back_off")
    ),
    B.CONNECTION_LIMITED: ClassFacts(
        "rate", _SOFT, "source_ip", Scope.CONNECTION, ("retry", "back_off"), ("fail", "back_off")
    ),
    B.GREYLISTED: ClassFacts("rate", _SOFT, "recipient", Scope.RECIPIENT, (GREYLIST,), _FAIL),
    B.TOO_MANY_RECIPIENTS: ClassFacts("rate", _SOFT, "recipient", Scope.RECIPIENT, _RETRY, _FAIL),
    B.REMOTE_TEMPORARY: ClassFacts("remote", _SOFT, "domain", Scope.HOST, _RETRY, _FAIL),
    B.CONNECT_FAILED: ClassFacts("network", _SOFT, "domain", Scope.HOST, ("next_mx", "retry"), _FAIL),
    B.CONNECTION_LOST: ClassFacts("network", _SOFT, "domain", Scope.CONNECTION, ("next_mx", "retry"), _FAIL),
    B.ROUTING_LOOP: ClassFacts(
        "remote", _SOFT, "message", Scope.MESSAGE, ("retry", "alert"), ("fail", "alert")
    ),
    B.PROTOCOL_ERROR: ClassFacts(
        "protocol", _ADMIN, "node", Scope.CONNECTION, ("retry", "alert"), ("fail", "alert")
    ),
    B.UNSUPPORTED_FEATURE: ClassFacts("protocol", _SOFT, "domain", Scope.MESSAGE, _RETRY, _FAIL),
    B.EXPIRED: ClassFacts("local", _SOFT, "node", Scope.RECIPIENT, _RETRY, _FAIL),
    B.LOCAL: ClassFacts("local", _ADMIN, "node", Scope.RECIPIENT, _RETRY, _FAIL),
    B.UNDETERMINED: ClassFacts("other", BounceType.UNDETERMINED, "message", Scope.MESSAGE, _RETRY, _FAIL),
}

ACCUSED: dict[str, Scope] = {
    "recipient": Scope.RECIPIENT,
    "domain": Scope.SITE,
    "message": Scope.MESSAGE,
    "source_ip": Scope.SOURCE,
    "netblock": Scope.SOURCE,
    "dkim_domain": Scope.STREAM,
    "spf_domain": Scope.STREAM,
    "url_domain": Scope.STREAM,
    "sender": Scope.STREAM,
    "tenant": Scope.STREAM,
    "node": Scope.RECIPIENT,
}
"""Whom a peer may accuse, and who then backs off."""

# S-16: before MAIL nothing has been said about a message, a sender or a recipient.
BEFORE_MAIL = frozenset({Stage.DNS, Stage.CONNECT, Stage.HELO, Stage.TLS, Stage.AUTH})
NAMED = frozenset({Stage.RCPT, Stage.DATA, Stage.END_OF_DATA, Stage.OUT_OF_BAND})
"""Stages at which a refusal may be about the recipient: he has been named."""
EVIDENCE = frozenset({Stage.RCPT, Stage.END_OF_DATA, Stage.OUT_OF_BAND})
"""Those whose word may suppress him: a transaction of ours has one recipient."""
