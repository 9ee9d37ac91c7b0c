"""What a refusal means: disposition first, class second.

Whether to try again follows from the basic code and the stage, nothing else: a 5yz after MAIL is final, everything
before MAIL is tried again (S-16), and so is what has no well-formed reply. Exceptions are a flag on a rule
(`mta.classify.rules`). The class then decides what is suppressed, paced, paused and reported. A verdict that
contains the action `fail` is final, any other is tried again: `disposition` does no more than read it.

The class comes from the first rule that matches: an operator's, the provider's, one on a provider's code, generic
text, the enhanced code, the basic code. Pure; texts seen before are answered from memory, by what was said and by
what is left of it when names and numbers are taken out. What to do about the scope is left to queues and pools.
"""

from functools import lru_cache

from msgspec import Struct
from msgspec.structs import replace

from mta.classify.normalise import MOST_CHARS, Normal, Normaliser
from mta.classify.patterns import Engine, pattern_set
from mta.classify.rules import (
    ACCUSED,
    BASIC,
    BEFORE_MAIL,
    CLASSES,
    ENHANCED,
    EVIDENCE,
    GENERIC,
    NAMED,
    Rule,
    RuleBook,
)
from mta.classify.section import Refusal, Section, fits, found_in
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
        """What the rule's text found in the normalised text. Asked by people: `re` compiles for it."""
        return found_in(self.rule, self.normal.text)


class Classifier:
    """Refusals in, verdicts out, by one book of rules. `engine` finds their texts; what it answers is the same with
    any."""

    def __init__(self, book: RuleBook, engine: Engine = pattern_set) -> None:
        self._normalise = Normaliser()
        self._operator = Section(book.operator, engine)
        by_provider: dict[str, list[Rule]] = {}
        for rule in book.shipped:
            by_provider.setdefault(rule.provider, []).append(rule)
        self._names = {name: (name, *others) for name, others in book.families.items()}
        self._own = {
            provider: Section([one for name in names for one in by_provider.get(name, ())], engine)
            for provider, names in (
                (provider, (provider, *book.families.get(provider, ())))
                for provider in {*by_provider, *book.families} - {""}
            )
        }
        self._tokens = Section(
            [rule for rule in book.shipped if rule.provider and rule.provider_code], engine
        )
        self._generic = Section([rule for rule in book.shipped if rule.layer == GENERIC], engine)
        self._coded = tuple(
            rule for layer in (ENHANCED, BASIC) for rule in book.shipped if rule.layer == layer
        )
        self._judged = lru_cache(_MOST_REMEMBERED)(self._judge)
        self._recalled = lru_cache(_MOST_REMEMBERED)(self._verdict)
        self._by_code = lru_cache(_MOST_REMEMBERED)(self._first_coded)

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
        layer, rule = self._find(stage, provider, normal)
        verdict = _verdict_by(rule, stage or Stage.RCPT, reply.code, normal.provider_code)
        return Explanation(verdict, rule, layer, normal)

    def _judge(self, stage: Stage, code: int, enhanced: str, provider: str, text: str) -> Verdict:
        return self._recalled(stage, code, provider, self._normalise(text, code, enhanced))

    def _verdict(self, stage: Stage, code: int, provider: str, normal: Normal) -> Verdict:
        _, rule = self._find(stage, provider, normal)
        return _verdict_by(rule, stage, code, normal.provider_code)

    def _find(self, stage: Stage | None, provider: str, normal: Normal) -> tuple[str, Rule]:
        """Layer and rule. A report that came later may be about any stage, but most likely about a late one."""
        subject = normal.enhanced.partition(".")[2]
        is_late = stage is None or stage is Stage.OUT_OF_BAND
        stages = _STAGES.get(stage, NAMED) if not is_late else NAMED
        own = self._own.get(provider)
        names = self._names.get(provider) or (provider,)
        choices: tuple[frozenset[Stage] | None, ...] = (stages, None) if is_late else (stages,)
        for at in choices:
            refusal = Refusal(normal.text, normal.code, subject, normal.provider_code, at, names)
            if (rule := self._operator.first(refusal)) is not None:
                return "operator", rule
            if own is not None and (rule := own.first(refusal)) is not None:
                return "provider", rule
            if normal.provider_code and (rule := self._tokens.first(refusal, anyone=True)) is not None:
                return "provider code", rule
            if (rule := self._generic.first(refusal)) is not None:
                return "generic text", rule
        rule = self._by_code(stages, normal.code, subject)
        return ("enhanced code" if rule.layer == ENHANCED else "basic code"), rule

    def _first_coded(self, stages: frozenset[Stage], code: int, subject: str) -> Rule:
        refusal = Refusal("", code, subject, "", stages, ())
        return next((rule for rule in self._coded if fits(rule, refusal)), _UNKNOWN)


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


_STAGES: dict[Stage | None, frozenset[Stage]] = {stage: frozenset({stage}) for stage in Stage}
_UNKNOWN = Rule(BASIC, "unknown", BounceClass.UNDETERMINED, confidence="low")
"""When even the book's last rule is missing."""
