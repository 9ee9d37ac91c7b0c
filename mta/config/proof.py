"""Whether bounce rules do what they say: each is held against its own replies, through the whole book.

Every example must come out at its rule and no counter may. So a rule that stands behind one which takes all it could
take is found: its example comes out elsewhere. An example is a reply as a peer writes it; where its stage is not the
first that the rule names, or its provider is not the rule's, they stand in front: `mail: 550 ...`, `google/rcpt: 550
...`.
"""

import re
from collections.abc import Iterator

from mta.classify.classifier import Classifier, Explanation
from mta.classify.quoted import read_quoted, stage_of
from mta.classify.rules import Rule, RuleBook
from mta.config.problems import Findings
from mta.config.reading import join, show
from mta.model.outcome import Stage

_LED = re.compile(r"(?:(?P<provider>[a-z0-9_-]+)/)?(?P<stage>[a-z_]+): (?P<reply>.*)", re.DOTALL)
_LIKELY = (
    *(
        Stage.RCPT,
        Stage.END_OF_DATA,
        Stage.MAIL,
        Stage.CONNECT,
        Stage.HELO,
        Stage.TLS,
        Stage.AUTH,
        Stage.DATA,
    ),
    Stage.OUT_OF_BAND,
)


def prove(book: RuleBook, found: Findings, *, is_operators: bool = False) -> None:
    """Findings for each rule of the one half of the book that breaks its promise. The shipped half is proven without
    the operator's, which may well stand in front of it."""
    rules = book.operator if is_operators else book.shipped
    if not rules:
        return
    proven = book if is_operators else RuleBook((), book.shipped, book.families)
    classifier = Classifier(proven)
    for rule in rules:
        path = _path(rule)
        for key, at, text in _replies(rule):
            stage, provider, reply = _read(rule, text)
            explained = classifier.explain(stage, read_quoted(reply), provider)
            if key == "example" and explained.rule != rule:
                found.wrong(f"{path}.example[{at}]", _elsewhere(rule, explained, reply))
            elif key == "counter" and explained.rule == rule:
                found.wrong(
                    f"{path}.counter[{at}]", f"matches although it must not: narrow the rule  {show(reply)}"
                )


def _replies(rule: Rule) -> Iterator[tuple[str, int, str]]:
    for key, texts in (("example", rule.examples), ("counter", rule.counters)):
        for at, text in enumerate(texts):
            yield key, at, text


def led(text: str) -> tuple[Stage | None, str, str]:
    """A reply with what stands in front of it: its stage and its provider, None and empty where nothing does."""
    match = _LED.fullmatch(text)
    try:
        stage = stage_of(match["stage"]) if match is not None else None
    except ValueError:
        return None, "", text
    return (stage, match["provider"] or "", match["reply"]) if match is not None else (None, "", text)


def _read(rule: Rule, text: str) -> tuple[Stage, str, str]:
    likely = next((stage for stage in _LIKELY if stage in rule.stages), Stage.RCPT)
    stage, provider, reply = led(text)
    return stage or likely, provider or rule.provider or "other", reply


def _elsewhere(rule: Rule, explained: Explanation, reply: str) -> str:
    got = explained.rule
    if got.provider_code:
        said = (
            f'"{got.label}" ({got.bounce_class}) takes it first, by the code {explained.normal.provider_code}'
        )
    elif explained.matched == "":
        said = f'no text matched, so it comes out at "{got.label}" ({got.bounce_class})'
    else:
        said = f'"{got.label}" ({got.bounce_class}) takes it first, by {show(explained.matched)}'
    return f"{said}: correct the rule or move it in front.  It reads {show(explained.normal.text or reply)}"


def _path(rule: Rule) -> str:
    layer, _, name = rule.label.partition(":")
    if layer == "operator":
        layer, _, name = name.partition(".")
    return join(join("", layer), name)
