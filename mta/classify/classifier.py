"""What a refusal means: disposition first, class second.

Whether to try again follows from the basic code and the stage, nothing else: a 5yz after MAIL is final, everything
before MAIL is tried again (S-16), and so is what has no well-formed reply. Exceptions are a flag on a rule
(`mta.classify.rules`). The class then decides what is suppressed, paced, paused and reported. A verdict that
contains the action `fail` is final, any other is tried again: `disposition` does no more than read it.

The class comes from the first rule that matches: an operator's, the provider's, one on a provider's code, generic
text, the enhanced code, the basic code. Pure; texts seen before are answered from memory, by what was said and by
what is left of it when names and numbers are taken out. What to do about the scope is left to queues and pools.
"""

import re
from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from mta.classify.normalise import MOST_CHARS, Normal, Normaliser
from mta.classify.ranks import Ranks
from mta.classify.rules import ACCUSED, BEFORE_MAIL, CLASSES, EVIDENCE, Rule, RuleBook
from mta.model.outcome import (
    RETRY_LONG,
    SUPPRESS,
    Attempt,
    BounceClass,
    Bounced,
    Deferred,
    Delivered,
    Scope,
    Stage,
    Verdict,
)
from mta.model.reply import Reply

FINAL = "fail"
"""The action that makes a verdict final."""

_MOST_REMEMBERED = 4096
"""Of replies, and of normalised ones: 1 kB each at most."""
_CLOSING = 421
_BLAMES_NOBODY = frozenset(
    {
        BounceClass.UNDETERMINED,
        BounceClass.POLICY,
        BounceClass.REMOTE_TEMPORARY,
        BounceClass.CONNECTION_LOST,
    }
)

# Our own words for what met no reply: of the resolver, of the session, of the composer. (class, final, status): the
# last one is our own, in the code of RFC 3463, what a server of ours would have answered.
_LOCAL_KINDS: dict[str, tuple[BounceClass, bool, str]] = {
    "nxdomain": (BounceClass.INVALID_DOMAIN, True, "5.1.2"),  # S-08
    "nodata": (BounceClass.INVALID_DOMAIN, True, "5.1.2"),  # neither MX nor address
    "null_mx": (BounceClass.INVALID_DOMAIN, True, "5.1.10"),  # RFC 7505
    "no_mail": (BounceClass.INVALID_DOMAIN, True, "5.3.2"),  # RFC 7504: 521 for a greeting, of every host
    "bad_name": (BounceClass.INVALID_DOMAIN, True, "5.1.2"),
    "size": (BounceClass.MESSAGE_TOO_LARGE, True, "5.3.4"),  # the peer's SIZE, RFC 1870 section 6.1
    "eight_bit": (BounceClass.UNSUPPORTED_FEATURE, True, "5.6.3"),  # RFC 6152
    "smtputf8": (BounceClass.UNSUPPORTED_FEATURE, True, "5.6.7"),  # RFC 6531
    "requiretls": (BounceClass.TLS_REQUIRED, True, "5.7.30"),  # RFC 8689 section 4.2.1
    "address": (BounceClass.LOCAL, True, "5.1.3"),
    "malformed": (BounceClass.MALFORMED_MESSAGE, True, "5.6.0"),
    "connect": (BounceClass.CONNECT_FAILED, False, "4.4.1"),
    "tls": (BounceClass.TLS_REQUIRED, False, "4.7.5"),
    "lost": (BounceClass.CONNECTION_LOST, False, "4.4.2"),
    "protocol": (BounceClass.PROTOCOL_ERROR, False, "4.5.0"),
    "local": (BounceClass.LOCAL, False, "4.3.5"),  # a tenant, pool or key that is missing now, a dead worker
    "expired": (BounceClass.EXPIRED, True, "4.4.7"),
    "failed": (BounceClass.LOCAL, True, ""),
    "suppressed": (BounceClass.LOCAL, True, ""),
    "cancelled": (BounceClass.LOCAL, True, ""),
}
DNS_KINDS = frozenset(
    {
        *("servfail", "timeout", "refused", "unreachable", "bad_answer", "bad_mx", "bad_cname"),
        *("bad_address", "closed"),
    }
)
_LOCAL_KINDS.update(dict.fromkeys(DNS_KINDS, (BounceClass.DNS_FAILURE, False, "4.4.3")))


class Explanation(Struct, frozen=True):
    """A verdict and where it comes from. `layer` is one of those of the module's docstring."""

    verdict: Verdict
    rule: Rule
    layer: str
    normal: Normal

    @property
    def matched(self) -> str:
        """What the rule's text found in the normalised text, empty where it has none. Asked by people: `re` compiles
        for it."""
        found = re.search(self.rule.text, self.normal.text, re.ASCII) if self.rule.text else None
        return found[0] if found is not None else ""


class Classifier:
    """Refusals in, verdicts out, by one book of rules."""

    def __init__(self, book: RuleBook) -> None:
        self._normalise = Normaliser()
        self._ranks = Ranks(book)
        self._judged = lru_cache(_MOST_REMEMBERED)(self._judge)
        self._recalled = lru_cache(_MOST_REMEMBERED)(self._verdict)
        self._made = lru_cache(_MOST_REMEMBERED)(self._make)

    def classify(
        self,
        stage: Stage,
        reply: Reply | None,
        *,
        provider: str = "other",
        detail: str = "",
        ambiguous: bool = False,
    ) -> Verdict:
        """`detail` says what happened where no reply came. An ambiguous reply is no reply: it cannot be trusted to
        belong to this message (S-14). But a 421 that blames somebody is believed as far as that goes, whichever
        message it was meant for: so Gmail says its 4.7.28, at the end of data."""
        if ambiguous and reply is not None and reply.code == _CLOSING:
            verdict = self._judged(stage, reply.code, reply.enhanced, provider, _joined(reply.lines))
            if verdict.bounce_class not in _BLAMES_NOBODY:
                return verdict.in_doubt(detail)
        if reply is None or ambiguous or reply.code < 400:
            return _no_reply(stage, detail, reply is not None and not ambiguous)
        lines = reply.lines
        text = lines[0][:MOST_CHARS] if len(lines) == 1 else _joined(lines)
        verdict = self._judged(stage, reply.code, reply.enhanced, provider, text)
        return verdict if not detail else replace(verdict, detail=detail)

    def explain(self, stage: Stage | None, reply: Reply, provider: str = "other") -> Explanation:
        """The same, with its reasons; `reply` is a refusal. Without a stage every rule may match, first those of the
        stages at which a recipient is known."""
        normal = self._normalise(_joined(reply.lines), reply.code, reply.enhanced)
        place = self._ranks.places[self._ranks.first(stage, provider, normal)]
        verdict = _verdict_by(place.rule, stage or Stage.RCPT, reply.code, normal.provider_code)
        return Explanation(verdict, place.rule, place.layer, normal)

    def _judge(self, stage: Stage, code: int, enhanced: str, provider: str, text: str) -> Verdict:
        return self._recalled(stage, code, provider, self._normalise(text, code, enhanced))

    def _verdict(self, stage: Stage, code: int, provider: str, normal: Normal) -> Verdict:
        return self._made(self._ranks.first(stage, provider, normal), stage, code, normal.provider_code)

    def _make(self, place: int, stage: Stage, code: int, provider_code: str) -> Verdict:
        return _verdict_by(self._ranks.places[place].rule, stage, code, provider_code)


def classify_local(kind: str, detail: str = "") -> Verdict:
    """For what no peer said. `kind` is a word of the resolver, an obstacle of the session, or one of ours."""
    bounce_class, is_final, status = _LOCAL_KINDS[kind]
    verdict = verdict_of(bounce_class, rule=f"local:{kind}", is_final=is_final, detail=detail or kind)
    return replace(verdict, status=status)


def disposition(attempt: Attempt, verdict: Verdict | None) -> Delivered | Deferred | Bounced:
    """What becomes of the recipient. None: nothing was refused. An ambiguous attempt is never the end."""
    reply = attempt.reply
    if verdict is None:
        if (
            attempt.stage is not Stage.END_OF_DATA
            or reply is None
            or not reply.is_positive
            or attempt.ambiguous
        ):
            raise ValueError("only a 2xx to the end of data delivers")
        return Delivered(attempt)
    if FINAL in verdict.actions and not attempt.ambiguous:
        return Bounced(attempt, verdict)
    return Deferred(attempt, verdict)


def verdict_of(bounce_class: BounceClass, *, rule: str, is_final: bool, detail: str = "") -> Verdict:
    """As the class says, where no reply says more."""
    facts = CLASSES[bounce_class]
    return Verdict(
        bounce_class=bounce_class,
        category=facts.category,
        type=facts.type,
        accused=facts.accused,
        scope=facts.scope,
        rule=rule,
        detail=detail,
        actions=facts.final if is_final else facts.again,
    )


def _no_reply(stage: Stage, detail: str, is_out_of_place: bool) -> Verdict:
    if is_out_of_place:
        return classify_local("protocol", detail)
    if stage is Stage.DNS:
        kind = "servfail"
    elif stage is Stage.CONNECT:
        kind = "connect"  # 133
    elif stage is Stage.TLS:
        kind = "tls"
    elif stage is Stage.LOCAL:
        kind = "local"
    else:
        kind = "lost"
    return classify_local(kind, detail)


def _joined(lines: tuple[str, ...]) -> str:
    return "\n".join(lines)[:MOST_CHARS]


def _verdict_by(rule: Rule, stage: Stage, code: int, provider_code: str) -> Verdict:
    """`code` is the outer one: what a gateway quotes does not change whether it takes the message later. Only a rule
    that is sure may suppress at once; of a `low` one the event tells, and a second strike is needed."""
    is_again = rule.retry == "again" and stage is not Stage.OUT_OF_BAND  # too late: somebody else gave up
    is_final = code >= 500 and stage not in BEFORE_MAIL and not is_again
    facts = CLASSES[rule.bounce_class]
    actions = facts.final if is_final else facts.again
    if SUPPRESS in actions and (rule.confidence != "high" or stage not in EVIDENCE):
        actions = tuple(action for action in actions if action != SUPPRESS)
    if rule.retry == "long":
        actions = tuple(RETRY_LONG if action == "retry" else action for action in actions)
    if ACCUSED.get(rule.accused) is Scope.STREAM:
        # Who is blamed for what a domain of a tenant sends must not hold up the others' mail.
        changed = ("pause_stream" if action in ("pause_source", "back_off") else action for action in actions)
        actions = tuple(dict.fromkeys(changed))
    scope = _scope(rule, stage, code)
    return Verdict(
        bounce_class=rule.bounce_class,
        category=facts.category,
        type=facts.type,
        accused=rule.accused or facts.accused,
        scope=facts.scope if scope is None else scope,
        rule=rule.label,
        detail=rule.detail,
        provider_code=provider_code,
        confidence=rule.confidence,
        actions=actions,
    )


def _scope(rule: Rule, stage: Stage, code: int) -> Scope | None:
    """None: as the class says. 421 ends the connection and blames nobody (S-06), unless a rule knows that it is a
    stream's doing. A host that greets with a refusal is avoided as a host: others of the site are tried next. What
    is not known to be more stays small."""
    accused = ACCUSED.get(rule.accused)
    if accused is Scope.STREAM:
        return accused
    if code == 421:
        return Scope.CONNECTION
    if stage in BEFORE_MAIL:
        return Scope.HOST
    if rule.bounce_class in (BounceClass.REMOTE_TEMPORARY, BounceClass.UNDETERMINED):
        return {Stage.MAIL: Scope.STREAM, Stage.RCPT: Scope.RECIPIENT}.get(stage, Scope.MESSAGE)
    return accused
