"""`mta bounces explain REPLY`: the class of a refusal and why, by the very rules that the daemon would use."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mta.admin.access import configuration
from mta.admin.errors import WrongUsage
from mta.admin.output import Output, Table, cell
from mta.classify.classifier import FINAL, Classifier, Explanation
from mta.classify.quoted import read_quoted, stage_of
from mta.classify.rules import RuleBook
from mta.config.load import shipped_rules
from mta.model.outcome import Stage

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


def rules_of(option: Path | None, environ: Mapping[str, str]) -> RuleBook:
    """The configured rules, else the shipped ones."""
    config = configuration(option, environ)
    return config.bounces if config is not None else shipped_rules()


def stage_named(word: str) -> Stage | None:
    """None where none is named. WrongUsage for a word that names none."""
    try:
        return stage_of(word) if word else None
    except ValueError as error:
        raise WrongUsage(str(error)) from error


def explain(book: RuleBook, output: Output, text: str, provider: str, stage: Stage | None) -> int:
    """WrongUsage for a reply that refuses nothing."""
    reply = read_quoted(text)
    if not text.strip() or reply.code < 400:
        raise WrongUsage("that refuses nothing: name a reply with a code from 400 on, or the words of one")
    explained = Classifier(book).explain(stage, reply, provider.strip().lower() or "other")
    output.result(_fields(explained))
    rows = _rows(explained, stage)
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


def _rows(explained: Explanation, stage: Stage | None) -> list[tuple[str, str]]:
    verdict = explained.verdict
    said = "; ".join(_ACTIONS[action] for action in verdict.actions)
    rows = [
        ("class", f"{verdict.bounce_class}  ({verdict.category}, {verdict.type})"),
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
