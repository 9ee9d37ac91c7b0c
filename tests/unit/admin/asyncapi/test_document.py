"""`conf/asyncapi.yaml` is what the program would write, and an AsyncAPI document that others can use."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from mta.admin.asyncapi.__main__ import COMMAND
from mta.admin.asyncapi.document import document
from mta.jetstream import layout
from mta.jetstream.subjects import dead_subject, event_subject, index_subject, ops_subject, payload_subject
from mta.model.event import EventType
from mta.model.lane import Lane
from tests.fakes.contract import CONTRACT, contract, of_message, wrong

DATA = Path(__file__).parents[3] / "data"
SUBJECTS = {
    "payloads": payload_subject(Lane.BULK, "t", "c"),
    "events": event_subject("t", "delivered", "p", "c"),
    "operations": ops_subject("n", "t"),
    "deadLetters": dead_subject("schema"),
    "index": index_subject(bytes(16)),
    "suppression": f"$KV.{layout.SUPPRESSION}.t.a",
    "suppressionOfStream": f"$KV.{layout.SUPPRESSION}.t.a.s",
}


def references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if "$ref" in value else []
        return own + [each for item in value.values() for each in references(item)]
    return [each for item in value for each in references(item)] if isinstance(value, list) else []


def test_the_file_is_what_the_program_would_write() -> None:
    """A change of the model is a change of the contract: it is written anew and looked at."""
    command = [sys.executable, *COMMAND.split(" >")[0].split()[1:]]
    made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert made.stdout == CONTRACT.read_text(), f"conf/asyncapi.yaml is not up to date: run `{COMMAND}`"


def test_what_is_written_is_what_was_meant() -> None:
    """Read back by a parser that is not ours."""
    assert contract() == json.loads(json.dumps(document()))


def test_it_is_asyncapi() -> None:
    """By the schema of the AsyncAPI Initiative."""
    official = json.loads(gzip.decompress((DATA / "asyncapi-3.0.0.json.gz").read_bytes()))
    assert not wrong(Draft7Validator(official), contract())


def test_every_reference_leads_somewhere() -> None:
    """Within the file."""
    for reference in references(contract()):
        found: Any = contract()
        for part in reference.removeprefix("#/").split("/"):
            assert part in found, reference
            found = found[part]


def test_each_schema_is_one() -> None:
    """By the draft that AsyncAPI takes where none is named."""
    for schema in contract()["components"]["schemas"].values():
        Draft7Validator.check_schema(schema)


@pytest.mark.parametrize("name", SUBJECTS)
def test_addresses_are_those_the_program_uses(name: str) -> None:
    """Part by part, with each parameter described."""
    channel = contract()["channels"][name]
    subject, address = SUBJECTS[name], channel["address"]
    pattern = re.sub(r"\\\{\w+\\\}", "[^.]+", re.escape(address))
    assert re.fullmatch(pattern, subject), (address, subject)
    assert set(re.findall(r"\{(\w+)\}", address)) == set(channel["parameters"])
    assert any(matches(one, subject) for one in channel["x-jetstream"]["subjects"])


def matches(filter_subject: str, subject: str) -> bool:
    pattern = re.escape(filter_subject).replace(r"\*", "[^.]+").replace(">", ".+")
    return re.fullmatch(pattern, subject) is not None


@pytest.mark.parametrize(("channel", "messages"), [("events", set(EventType)), ("payloads", {"payload"})])
def test_each_channel_says_what_comes(channel: str, messages: set[str]) -> None:
    """All types of events; one operation tells of all of them."""
    assert set(contract()["channels"][channel]["messages"]) == messages
    (operation,) = (
        one for one in contract()["operations"].values() if one["channel"]["$ref"] == f"#/channels/{channel}"
    )
    assert {one["$ref"].rpartition("/")[2] for one in operation["messages"]} == messages


@pytest.mark.parametrize("name", sorted(contract()["components"]["messages"]))
def test_examples_are_valid(name: str) -> None:
    """Everything but bytes has one."""
    examples = contract()["components"]["messages"][name].get("examples", [])
    assert examples or name == "deadLetter"
    for example in examples:
        assert not wrong(of_message(name), example["payload"])


def test_durations_are_for_people() -> None:
    """As in the configuration."""
    stream = contract()["channels"]["events"]["x-jetstream"]
    assert (stream["stream"], stream["max_age"], stream["duplicate_window"]) == ("MTA_EVENTS", "7d", "10m")


def test_providers_are_those_of_the_shipped_rules() -> None:
    """And the two that no rule names."""
    enum = contract()["channels"]["events"]["parameters"]["provider"]["enum"]
    assert enum[0] == "google"
    assert enum[-2:] == ["other", "_"]
