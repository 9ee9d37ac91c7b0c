"""A consumer who believes `conf/asyncapi.yaml` and nothing else."""

from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft7Validator
from jsonschema.exceptions import best_match
from ruamel.yaml import YAML

CONTRACT = Path(__file__).parents[2] / "conf" / "asyncapi.yaml"


@cache
def contract() -> dict[str, Any]:
    """The file, read by somebody else's parser."""
    found: dict[str, Any] = YAML(typ="safe").load(CONTRACT.read_text())
    return found


@cache
def schema(name: str) -> Draft7Validator:
    """One of `components.schemas`, with those it refers to."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": contract()["components"]}
    return Draft7Validator(whole, format_checker=Draft7Validator.FORMAT_CHECKER)


def of_message(name: str) -> Draft7Validator:
    """The payload of one of `components.messages`."""
    return schema(contract()["components"]["messages"][name]["payload"]["$ref"].rpartition("/")[2])


def wrong(validator: Draft7Validator, value: Any) -> str:
    """What is wrong with it, or nothing."""
    error = best_match(validator.iter_errors(value))
    return "" if error is None else f"{error.json_path}: {error.message}"


class Reader:
    """Checks events by the schema of their type, one of each shape: those that differ in a text only teach nothing.
    `mistakes` says what did not keep the contract."""

    def __init__(self) -> None:
        self._shapes: set[object] = set()
        self.mistakes: list[str] = []

    def read(self, event: dict[str, Any]) -> None:
        shape = (event["type"], _shape(event))
        if shape in self._shapes:
            return
        self._shapes.add(shape)
        what = wrong(of_message(event["type"]), event)
        unknown = sorted(event.keys() - _fields())
        if what or unknown:
            self.mistakes.append(f"{what or f'fields not in the contract: {unknown}'} in {event}")


def _fields() -> set[str]:
    """Every field an event may have: that there may be more does not mean that we forget to name one."""
    return set(contract()["components"]["schemas"]["Event"]["properties"])


def _shape(value: Any) -> object:
    if isinstance(value, dict):
        return tuple(sorted((key, _shape(item)) for key, item in value.items()))
    return type(value).__name__
