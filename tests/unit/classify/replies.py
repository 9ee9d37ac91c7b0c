"""Replies of `tests/data/replies/`, with what they mean."""

import tomllib
from pathlib import Path

from msgspec import Struct, convert

from mta.classify.classifier import Classifier, Explanation
from mta.classify.quoted import read_quoted, stage_of
from mta.config.load import shipped_rules
from mta.model.outcome import BounceClass, Stage

DATA = Path(__file__).parents[2] / "data" / "replies"
CLASSIFIER = Classifier(shipped_rules())


class Said(Struct, frozen=True, rename={"bounce_class": "class"}):
    """`scope` is who is accused. `actions` must be among the verdict's, `never` must not."""

    bounce_class: BounceClass
    stage: str
    provider: str
    replies: list[str]
    number: int = 0
    scope: str = ""
    confidence: str = ""
    detail: str = ""
    actions: str = ""
    never: str = ""


def of_file(name: str, table: str) -> list[Said]:
    return convert(tomllib.loads((DATA / name).read_text())[table], list[Said])


FACTS = of_file("facts.toml", "facts")
LIVING: list[str] = tomllib.loads((DATA / "living.toml").read_text())["replies"]
SERVERS = of_file("servers.toml", "samples")


def explained(reply: str, stage: str, provider: str = "other") -> Explanation:
    named: Stage | None = stage_of(stage) if stage else None
    return CLASSIFIER.explain(named, read_quoted(reply), provider)
