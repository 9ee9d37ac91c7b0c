"""`mta bounces explain REPLY`: the class of a refusal and why, by the very rules that the daemon would use."""

from typing import Any

from mta.admin.errors import WrongUsage
from mta.admin.output import Output, Table, cell
from mta.classify.classifier import FINAL, Classifier, Explanation
from mta.classify.quoted import read_quoted, says_code, stage_of
from mta.classify.rules import RuleBook
from mta.config.load import shipped_providers, shipped_rules
from mta.config.problems import nearest
from mta.config.settings import Config
from mta.model.outcome import Stage
from mta.pacing.shaping import OTHER

_ACTIONS = {
    "fail": "it is not tried again",
    "suppress": "the address is suppressed",
    "retry": "tried again on the normal schedule",
    "retry_long": "tried again on the long schedule",
    "greylist": "tried again soon, from the same source",
    "back_off": "the path slows down, where a rule of [[automation]] counts such refusals",
    "pause_source": "the source is held at this provider, where a rule of [[automation]] says so",
    "pause_stream": "the tenant's stream of this From domain is held at this provider, where a rule of [[automation]] "
    "says so; others' mail there goes on",
    "next_mx": "another host is tried first",
    "alert": "somebody should look at it; a rule of [[automation]] with an alert tells on MTA_OPS",
}


def rules_of(config: Config | None) -> RuleBook:
    """The configured rules, else the shipped ones."""
    return config.bounces if config is not None else shipped_rules()


def provider_named(config: Config | None, word: str) -> str:
    """The name of a provider that is shaped or has rules. WrongUsage for another: by a misspelt one a reply would be
    explained as if nobody had rules for it."""
    name, book = word.strip().lower() or OTHER, rules_of(config)
    shaped = {one.name for one in config.shaping.providers} if config is not None else shipped_providers()
    ruled = {one.provider for one in (*book.operator, *book.shipped) if one.provider}
    known = {OTHER, *shaped, *ruled, *book.families}
    if name not in known:
        raise WrongUsage(f"there is no provider {word}{nearest(name, known)}")
    return name


def stage_named(word: str) -> Stage | None:
    """None where none is named. WrongUsage for a word that names none."""
    try:
        return stage_of(word) if word else None
    except ValueError as error:
        raise WrongUsage(str(error)) from error


def explain(
    book: RuleBook, output: Output, text: str, provider: str, stage: Stage | None, code: int = 0
) -> int:
    """`code` is for words without one; 0 where none is known. WrongUsage for a reply that refuses nothing, or has
    another code."""
    reply = read_quoted(text, code)
    if not text.strip() or reply.code < 400:
        raise WrongUsage("that refuses nothing: name a reply with a code from 400 on, or the words of one")
    if code and reply.code != code:
        raise WrongUsage(f"--code {code}: the reply itself says {reply.code}")
    is_assumed = not code and not says_code(text)
    explained = Classifier(book).explain(stage, reply, provider)
    output.result(_fields(explained) | {"is_code_assumed": is_assumed})
    rows = _rows(explained, stage, is_assumed=is_assumed)
    shown = Table(*rows[0])
    for name, said in rows[1:]:
        shown.add_row(cell(name, "bold"), cell(said))
    output.show(shown)
    return 0


def _fields(explained: Explanation) -> dict[str, Any]:
    verdict = explained.verdict
    return {
        "class": verdict.bounce_class,
        "category": verdict.category,
        "type": verdict.type,
        "scope": verdict.accused,
        "backs_off": verdict.scope,
        "actions": list(verdict.actions),
        "is_final": FINAL in verdict.actions,
        "rule": verdict.rule,
        "layer": explained.layer,
        "why": _why(explained),
        "matched": explained.matched,
        "confidence": verdict.confidence,
        "provider_code": verdict.provider_code,
        "detail": verdict.detail,
        "code": explained.normal.code,
        "enhanced": explained.normal.enhanced,
        "normalised": explained.normal.text,
    }


def _rows(explained: Explanation, stage: Stage | None, *, is_assumed: bool) -> list[tuple[str, str]]:
    verdict = explained.verdict
    assumed = f"{explained.normal.code} is assumed, because the words come without one: say it with --code"
    said = "; ".join(_ACTIONS[action] for action in verdict.actions)
    rows = [
        ("class", f"{verdict.bounce_class}  ({verdict.category}, {verdict.type})"),
        ("code", assumed if is_assumed else ""),
        ("detail", verdict.detail),
        ("accused", f"{verdict.accused}; who backs off: {verdict.scope}"),
        ("then", f"{', '.join(verdict.actions)}: {said}"),
        ("confidence", verdict.confidence),
        ("provider code", verdict.provider_code),
        ("rule", verdict.rule),
        ("why", _why(explained)),
        ("read as", f"{explained.normal.code} {explained.normal.enhanced} {explained.normal.text}"),
    ]
    if stage is None:
        rows.append(("stage", "not named: every rule could match. --stage rcpt says more"))
    return [(name, text) for name, text in rows if text]


def _why(explained: Explanation) -> str:
    rule, normal = explained.rule, explained.normal
    if explained.matched:
        return f'{explained.layer}: the words "{explained.matched}"'
    if rule.provider_code:
        return f"{explained.layer}: {normal.provider_code}"
    if explained.layer == "enhanced code":
        return f"enhanced code {normal.enhanced}; no rule knows the words"
    return f"basic code {normal.code}; no rule knows the words"
