"""`[[automation]]` of shaping.toml: which refusals make something happen by itself.

A rule that names a class, code or text which the classifier never gives for that provider would never fire, and nobody
would miss it. So each rule brings replies: `prove` puts them through the classifier and finds every class, code and
text for which none fits, every example that does not fit, and every counter that does. Pure.
"""

import re
from collections.abc import Collection
from typing import Any

from mta.classify.classifier import Classifier
from mta.classify.patterns import fault_of
from mta.classify.quoted import read_quoted
from mta.classify.rules import ACCUSED
from mta.config.names import is_token
from mta.config.problems import Findings, nearest
from mta.config.proof import led
from mta.config.reading import join, read, show
from mta.config.shaping_document import ActionTable, AutomationTable
from mta.model.outcome import BounceClass, Stage, Verdict
from mta.pacing.action import ActionKind
from mta.pacing.rules import At, AutomaticAction, AutomationRule, said
from mta.queue.settings import RateLimit

_LISTS = ("class", "except", "accused", "provider_code", "text", "example", "counter")
_STAGES = (Stage.RCPT, Stage.END_OF_DATA, Stage.MAIL, Stage.CONNECT, Stage.HELO, Stage.DATA)
"""At which a peer may say so."""
_MOST_COUNT = 100_000
_LONGEST_S = 7 * 86_400.0
_NEVER_REPEATED_S = 3600.0
"""For so long an alert is not given again, where it does not say."""


def rules(
    tables: tuple[dict[str, Any], ...], providers: Collection[str], found: Findings
) -> tuple[AutomationRule, ...]:
    """In the order of the file; findings for what can be seen without the classifier."""
    made: dict[str, AutomationRule] = {}
    for number, one in enumerate(tables):
        name = one.get("name")
        path = join("automation", name) if isinstance(name, str) and name else f"automation[{number}]"
        table = read(AutomationTable, _listed(one), path, found)
        if table is None:
            continue
        if not is_token(table.name):
            found.wrong(f"{path}.name", "a rule is named by [a-z0-9_-], at most 64 of them")
        elif table.name in made:
            found.wrong(f"{path}.name", f'there is a rule "{table.name}" already')
        rule = _rule(table, path, providers, found)
        made[table.name] = rule
    return tuple(made.values())


def prove(automation: tuple[AutomationRule, ...], classifier: Classifier, found: Findings) -> None:
    """Findings for each rule that does not do what its replies promise."""
    for rule in automation:
        path = join("automation", rule.name)
        shown: list[tuple[Verdict, str]] = []
        for key, replies in (("example", rule.examples), ("counter", rule.counters)):
            for at, text in enumerate(replies):
                provider, verdicts, words = _verdicts(rule, text, classifier)
                fitting = [one for one in verdicts if rule.fits(provider, one, words)]
                if key == "example" and fitting:
                    shown.append((fitting[0], words))
                elif key == "example":
                    verdict = verdicts[0]
                    found.wrong(f"{path}.example[{at}]", _misfit(rule, provider, verdict, words))
                elif fitting:
                    found.wrong(f"{path}.counter[{at}]", f"fits although it must not: {show(text)}")
        if shown:
            _check_all_shown(rule, path, shown, found)


def _verdicts(rule: AutomationRule, text: str, classifier: Classifier) -> tuple[str, list[Verdict], str]:
    """The provider, what the classifier makes of the reply at its stage, or at each where it names none, and the words
    the rule looks at."""
    stage, provider, quoted = led(text)
    provider = provider or rule.provider or "other"
    reply = read_quoted(quoted)
    stages = (stage,) if stage is not None else _STAGES
    return provider, [classifier.classify(one, reply, provider=provider) for one in stages], said(reply)


def _misfit(rule: AutomationRule, provider: str, verdict: Verdict, words: str) -> str:
    """What of the rule the example does not meet."""
    if rule.provider and provider != rule.provider:
        return f"is of provider {provider}, the rule of {rule.provider}"
    if provider in rule.excepted:
        return f"is of provider {provider}, which the rule excepts"
    if rule.bounce_classes and verdict.bounce_class not in rule.bounce_classes:
        return f"the classifier makes it {verdict.bounce_class} (by {verdict.rule}), which the rule does not name"
    if rule.accused and verdict.accused not in rule.accused:
        return f"the classifier says it accuses {verdict.accused} (by {verdict.rule}), which the rule does not name"
    if rule.provider_codes and verdict.provider_code.lower() not in rule.provider_codes:
        code = f"finds the code {verdict.provider_code}" if verdict.provider_code else "finds no code"
        return f"the classifier {code} in it, and the rule names {', '.join(sorted(rule.provider_codes))}"
    return f"the text does not match {show(words)}"


def _check_all_shown(
    rule: AutomationRule, path: str, shown: list[tuple[Verdict, str]], found: Findings
) -> None:
    """Each class, accusation, code and text is there because an example needs it."""
    verdicts = [verdict for verdict, _ in shown]
    missing: dict[str, set[str]] = {
        "class": {str(one) for one in rule.bounce_classes} - {verdict.bounce_class for verdict in verdicts},
        "accused": set(rule.accused) - {verdict.accused for verdict in verdicts},
        "provider_code": set(rule.provider_codes) - {verdict.provider_code.lower() for verdict in verdicts},
        "text": {
            one
            for one in rule.texts
            if not any(re.search(one, words, re.ASCII) is not None for _, words in shown)
        },
    }
    for key, values in missing.items():
        for value in sorted(values):
            found.wrong(f"{path}.{key}", f"no example shows that {show(value)} can come out: add one")


def _rule(table: AutomationTable, path: str, providers: Collection[str], found: Findings) -> AutomationRule:
    if table.provider and table.provider not in providers:
        found.wrong(f"{path}.provider", f"unknown provider{nearest(table.provider, providers)}")
    for at, name in enumerate(table.except_):
        if name not in providers:
            found.wrong(f"{path}.except[{at}]", f"unknown provider{nearest(name, providers)}")
    if table.provider and table.except_:
        found.wrong(f"{path}.except", "has no effect: the rule is of one provider")
    for at, name in enumerate(table.class_):
        if name not in set(BounceClass):
            found.wrong(f"{path}.class[{at}]", f"unknown class{nearest(name, BounceClass)}")
    for at, name in enumerate(table.accused):
        if name not in ACCUSED:
            found.wrong(f"{path}.accused[{at}]", f"nobody accuses that{nearest(name, ACCUSED)}")
    for at, pattern in enumerate(table.text):
        fault = fault_of(pattern) or _capital(pattern) or ("" if pattern else "matches everything")
        if fault:
            found.wrong(f"{path}.text[{at}]", fault)
    if not (table.class_ or table.provider_code or table.text):
        found.wrong(path, "fits every refusal: name a class, a provider_code or a text")
    if not 1 <= table.count <= _MOST_COUNT:
        found.wrong(f"{path}.count", f"expected 1 to {_MOST_COUNT}, found {table.count}")
    if not 1 <= table.window <= _LONGEST_S:
        found.wrong(f"{path}.window", 'expected "1s" to "7d"')
    if not table.source.strip():
        found.wrong(f"{path}.source", "says nothing: name a page, a file with its date, or who decided it")
    for key in ("example", "counter", "actions"):
        if not getattr(table, key):
            found.wrong(f"{path}.{key}", "needs at least one")
    return AutomationRule(
        name=table.name,
        provider=table.provider,
        excepted=frozenset(table.except_),
        bounce_classes=frozenset(BounceClass(one) for one in table.class_ if one in set(BounceClass)),
        accused=frozenset(table.accused),
        provider_codes=frozenset(code.lower() for code in table.provider_code),
        text="|".join(table.text),
        texts=table.text,
        count=table.count,
        window_s=float(table.window),
        actions=tuple(_action(one, f"{path}.actions[{at}]", found) for at, one in enumerate(table.actions)),
        source=table.source,
        examples=table.example,
        counters=table.counter,
    )


def _action(table: ActionTable, path: str, found: Findings) -> AutomaticAction:
    has_limits = table.connections is not None or table.message_rate is not None
    if table.kind is ActionKind.THROTTLE and not has_limits:
        found.wrong(path, "a throttle needs connections, message_rate or both")
    if table.kind is not ActionKind.THROTTLE and has_limits:
        found.wrong(path, f'kind = "{table.kind}" has no connections or message_rate: they are a throttle\'s')
    if table.kind is ActionKind.THROTTLE and table.at in (At.STREAM, At.CAMPAIGN):
        found.wrong(f"{path}.at", "a throttle is of a way: path, provider, site, host or source")
    if table.connections is not None and not 1 <= table.connections <= 10_000:
        found.wrong(f"{path}.connections", f"expected 1 to 10000, found {table.connections}")
    for_s = _NEVER_REPEATED_S if table.for_ is None else float(table.for_)
    if table.for_ is None and table.kind is not ActionKind.ALERT:
        found.wrong(f"{path}.for", 'is missing: each action ends, as in for = "10m"')
    elif not 1 <= for_s <= _LONGEST_S:
        found.wrong(f"{path}.for", 'expected "1s" to "7d"')
    rate = table.message_rate
    return AutomaticAction(
        table.kind,
        table.at,
        for_s,
        table.connections,
        RateLimit(rate.count, rate.period_s) if rate is not None else None,
    )


def _listed(one: dict[str, Any]) -> dict[str, Any]:
    """One string where a list of them is wanted is the only one."""
    return {key: [value] if key in _LISTS and isinstance(value, str) else value for key, value in one.items()}


def _capital(pattern: str) -> str:
    bare = re.sub(r"\\.", "", pattern)
    return (
        f"can never match: {show(pattern)} has capitals; replies are matched in lower case"
        if bare != bare.lower()
        else ""
    )
