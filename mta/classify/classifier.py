"""What a refusal means: disposition first, class second.

Whether to try again follows from the basic code and the stage, nothing else: a 5yz after MAIL is final, everything
before MAIL is tried again (S-16), and so is what has no well-formed reply. Exceptions are a flag on a rule
(`mta.classify.rules`). The class then decides what is suppressed, paced, paused and reported. A verdict that
contains the action `fail` is final, any other is tried again: `disposition` does no more than read it.

Pure and cached by (stage, code, enhanced code). What to do about the scope is left to queues and pools.
"""

from functools import lru_cache

from msgspec.structs import replace

from mta.classify.rules import BASIC_RULES, BEFORE_MAIL, CLASSES, ENHANCED_RULES, Rule
from mta.model.outcome import (
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


def classify(
    stage: Stage, reply: Reply | None, *, provider: str = "other", detail: str = "", ambiguous: bool = False
) -> Verdict:
    """`detail` says what happened where no reply came. `provider` picks no generic rule. An ambiguous reply is no
    reply: it cannot be trusted to belong to this message (S-14)."""
    if reply is None or ambiguous or reply.code < 400:
        return _no_reply(stage, detail, reply is not None and not ambiguous)
    verdict = _generic(stage, reply.code, reply.enhanced)
    return verdict if not detail else replace(verdict, detail=detail)


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


def verdict_of(
    bounce_class: BounceClass,
    *,
    rule: str,
    is_final: bool,
    detail: str = "",
    confidence: str = "high",
    scope: Scope | None = None,
) -> Verdict:
    """Only a rule that is sure may suppress at once; of a `low` one the event tells, and a second strike is needed."""
    facts = CLASSES[bounce_class]
    actions = facts.final if is_final else facts.again
    if confidence != "high":
        actions = tuple(action for action in actions if action != "suppress")
    return Verdict(
        bounce_class=bounce_class,
        category=facts.category,
        type=facts.type,
        accused=facts.accused,
        scope=facts.scope if scope is None else scope,
        rule=rule,
        detail=detail,
        confidence=confidence,
        actions=actions,
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


@lru_cache(maxsize=8192)
def _generic(stage: Stage, code: int, enhanced: str) -> Verdict:
    """The generic rules: the codes a peer can send are few, so almost every call is a look-up."""
    is_transient = code < 500
    subject = enhanced.partition(".")[2]
    rule = next(
        (r for r in ENHANCED_RULES if subject and _matches(r, stage, code, subject, is_transient)),
        None,
    ) or next(r for r in BASIC_RULES if _matches(r, stage, code, subject, is_transient))
    is_final = not is_transient and stage not in BEFORE_MAIL and rule.retry is not True
    return verdict_of(
        rule.bounce_class,
        rule=f"generic:{rule.name}",
        is_final=is_final,
        detail=rule.detail,
        confidence=rule.confidence,
        scope=_scope(rule, stage, code),
    )


def _matches(rule: Rule, stage: Stage, code: int, subject: str, is_transient: bool) -> bool:
    return (
        (not rule.stages or stage in rule.stages)
        and (not rule.codes or code in rule.codes)
        and (not rule.subject or rule.subject == subject)
        and rule.transient in (None, is_transient)
    )


def _scope(rule: Rule, stage: Stage, code: int) -> Scope | None:
    """None: as the class says. 421 ends the connection and blames nobody (S-06). A host that greets with a refusal is
    avoided as a host: others of the site are tried next. What is not known to be more stays small."""
    if code == 421:
        return Scope.CONNECTION
    if stage in BEFORE_MAIL:
        return Scope.HOST
    if rule.bounce_class in (BounceClass.REMOTE_TEMPORARY, BounceClass.UNDETERMINED):
        return {Stage.MAIL: Scope.STREAM, Stage.RCPT: Scope.RECIPIENT}.get(stage, Scope.MESSAGE)
    return None
