"""README.md says what is so: its commands are those of the CI, its examples are accepted, its tables complete."""

import os
import re
import smtplib
import socket
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import msgspec
import pytest

from mta.admin import exits
from mta.admin.dkim_gen import gen, order
from mta.admin.output import Output
from mta.classify.classifier import Classifier
from mta.config.automation import prove as prove_automation
from mta.config.document import DkimTable, Document, DomainTable, RouteTable, SourceTable, TenantTable
from mta.config.load import load
from mta.config.problems import Findings
from mta.config.proof import prove
from mta.config.shaping import shaping
from mta.config.shaping_document import AutomationTable
from mta.intake.admission import Admitted, Arrival, admit
from mta.intake.decode import Decoded, decode
from mta.model.event import Event, EventType, SmtpPart
from mta.model.lane import Lane
from mta.model.outcome import BounceClass, Stage
from mta.model.payload import Payload
from mta.pacing.rules import At
from mta.pacing.shaping import Knobs, Shaping

PROJECT = Path(__file__).parents[2]
README = (PROJECT / "README.md").read_text()
CI = (PROJECT / ".ci" / "run").read_text()
KEYS = {
    field.name: getattr(field.type, "__struct_encode_fields__", ())
    for field in msgspec.structs.fields(Document)
} | {
    "sources": SourceTable.__struct_fields__,
    "routes": RouteTable.__struct_fields__,
    "tenants": (*TenantTable.__struct_fields__, *DomainTable.__struct_fields__, *DkimTable.__struct_fields__),
}
"""What an operator may write into each table."""
NOT_YET = {"queued"}
"""Types of events that nothing publishes yet; they come into README.md with their feature."""


def block(marker: str) -> str:
    """What stands between the fences below `<!-- marker -->`."""
    found = re.findall(
        rf"^<!-- {re.escape(marker)} -->\n```\w+\n(.*?)^```$", README, re.MULTILINE | re.DOTALL
    )
    assert len(found) == 1, f"{len(found)} blocks marked {marker}"
    return str(found[0])


def section(title: str) -> str:
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """The example, with keys made where README.md makes them."""
    config, token = tmp_path / "mta.toml", tmp_path / "tokens" / "token-k1"
    config.write_text(block("example: mta.toml"))
    ((domain, selector),) = re.findall(r"^mta dkim gen (\S+) (\S+)$", README, re.MULTILINE)
    gen(config, order(domain, selector), None, Output())
    token.parent.mkdir()
    token.touch(mode=0o600)
    token.write_bytes(os.urandom(32))
    return config


@pytest.mark.parametrize(("marker", "does"), [("demo", ".venv/bin/mta demo"), ("tests", ".venv/bin/pytest")])
def test_a_command_is_one_line(marker: str, does: str) -> None:
    """To be copied whole; a shell can read it, and it ends in what it promises."""
    (line,) = block(f"command: {marker}").splitlines()
    assert does in line.rpartition("&&")[2]
    assert subprocess.run(["bash", "-n", "-c", line], timeout=10).returncode == 0


def test_the_ci_runs_the_command_as_written() -> None:
    """It takes the line out of README.md and has no way of its own to install or to test."""
    assert "readme_command tests" in CI
    assert "pytest" not in CI
    assert "pip install" not in CI


def test_the_ci_finds_the_line() -> None:
    """Its own function, on the README as it is."""
    (function,) = re.findall(r"^readme_command\(\) \{.*\}$", CI, re.MULTILINE)
    done = subprocess.run(
        ["bash", "-c", f"{function}; readme_command tests"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        timeout=10,
    )
    assert done.stdout == block("command: tests")


def test_the_example_configuration_holds(configuration: Path) -> None:
    """Nothing in it is wrong, and nothing is odd enough for a warning."""
    config = load(configuration, {})
    assert config.warnings == ()
    assert config.tenants["acme"].domains["acme.example"].selectors == ("s2026",)


def test_the_example_bounce_rule_holds(configuration: Path) -> None:
    """Beside the configuration it stands in front of the shipped ones, and its examples prove it."""
    (configuration.parent / "bounces.toml").write_text(block("example: bounces.toml"))
    config = load(configuration, {})
    found = Findings("bounces.toml")
    prove(config.bounces, found, is_operators=True)
    assert len(config.bounces.operator) == 1
    assert found.problems == []


def test_the_example_shaping_holds(configuration: Path) -> None:
    """Added to the shipped file: nothing is wrong or odd, and the rule can fire."""
    (configuration.parent / "shaping.toml").write_text(
        (PROJECT / "conf" / "shaping.toml").read_text()
        + block("example: shaping.toml")
        + block("example: automation")
    )
    config = load(configuration, {})
    assert config.warnings == ()
    found = Findings("shaping.toml")
    prove_automation(config.shaping.automation, Classifier(config.bounces), found)
    assert found.problems == []
    settings = config.shaping.settings("a1", "gmx", ("mx2.bigcorp.example",))
    assert (settings.connections, settings.retry_s, settings.messages_per_connection) == (1, (1800, 7200), 20)


def test_every_knob_of_shaping_is_named() -> None:
    """Here, and in the comments of the file itself; and each layer."""
    comments = (PROJECT / "conf" / "shaping.toml").read_text().partition("\n[default]\n")[0]
    for knob in Knobs.__struct_fields__:
        assert f"`{knob}`" in section("Shaping"), knob
        assert knob in comments, knob
    assert f"knows {len(load_shaping().providers)} mailbox providers" in section("Shaping")


def test_every_key_of_automation_is_named() -> None:
    """In the comments of the file."""
    comments = (PROJECT / "conf" / "shaping.toml").read_text().partition("# ---- what happens by itself")[2]
    for field in msgspec.structs.fields(AutomationTable):
        assert re.search(rf"\b{field.encode_name}\b", comments), field.name
    for at in At:
        assert re.search(rf"^#.* {at} ", comments, re.MULTILINE), at


def load_shaping() -> Shaping:
    found = Findings("s")
    return shaping(tomllib.loads((PROJECT / "conf" / "shaping.toml").read_text()), found)


def test_every_bounce_class_is_named() -> None:
    """Staff look them up here."""
    assert {one for one in BounceClass if f"`{one}`" not in section("Bounces")} == set()


@pytest.mark.parametrize(("marker", "campaign"), [("payload", "_"), ("one-click payload", "spring")])
def test_the_example_payload_is_admitted(configuration: Path, marker: str, campaign: str) -> None:
    """Under the example configuration, with the base of links where it is told to be needed, by either lane."""
    decoded = decode(block(f"example: {marker}").encode())
    assert isinstance(decoded, Decoded)
    (base,) = re.findall(r"`http\.public_url = (\S+)`", section("Unsubscribing"))
    configuration.write_text(f"{configuration.read_text()}\n[http]\npublic_url = {base}\n")
    rules = load(configuration, {}).rules()
    for lane in Lane:
        admitted = admit(decoded, Arrival(lane, "acme", campaign, "MTA_PAYLOADS", 1, 1e9, 1e9), rules)
        assert isinstance(admitted, Admitted)
        assert list(admitted.rejected) == []


def test_the_example_event_is_one() -> None:
    """Each of its fields is of the contract."""
    event = msgspec.json.decode(block("example: event"), type=Event)
    assert event.type is EventType.DELIVERED
    assert set(msgspec.json.decode(block("example: event"))) <= set(Event.__struct_fields__)
    assert isinstance(event.smtp, SmtpPart)
    assert event.smtp.stage in list(Stage)


def test_the_contract_example_tells_good_from_bad(tmp_path: Path) -> None:
    """Run as written, where the file is; on a payload that keeps the contract and one that does not."""
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text(block("example: payload"))
    bad.write_text(block("example: payload").replace('"recipients"', '"recipient"'))
    script = block("example: contract")
    fine, wrong = [
        subprocess.run(
            [sys.executable, "-c", script, "payload", path],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        for path in (good, bad)
    ]
    assert (fine.returncode, fine.stderr, wrong.returncode) == (0, "", 1)
    assert "'recipients' is a required property" in wrong.stderr
    assert "Traceback" not in wrong.stderr


def test_the_sink_of_the_example_refuses_whom_it_names() -> None:
    """Run as written but for its port: who is told to bounce, who to wait, and anybody else."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = block("example: sink").replace("port=2525", f"port={port}")
    sink = subprocess.Popen([sys.executable, "-W", "ignore", "-c", script + "\n"], stdout=subprocess.DEVNULL)
    try:
        client = smtplib.SMTP(local_hostname="a.test", timeout=20)
        until = time.monotonic() + 20
        while True:
            try:
                client.connect("127.0.0.1", port)
                break
            except ConnectionRefusedError:
                assert sink.poll() is None
                assert time.monotonic() < until
        with client:
            client.ehlo()
            client.mail("a@a.test")
            codes = [client.rcpt(f"{user}@b.test")[0] for user in ("gone", "full", "bob")]
            assert (codes, client.data(b"x")[0]) == ([550, 452, 250], 250)
    finally:
        sink.kill()
        sink.wait()


def test_the_sockets_are_handed_to_the_service_that_asks_for_them() -> None:
    """Both units are there, and the unit names the same line in a comment."""
    (line,) = re.findall(r"\\n(Sockets=[^\\]*)\\n", block("command: sockets"))
    assert f"# {line}\n" in (PROJECT / "systemd" / "mta.service").read_text()
    for name in line.removeprefix("Sockets=").split():
        assert (PROJECT / "systemd" / name).exists()


def test_the_relay_of_the_example_is_logged_in_to(configuration: Path) -> None:
    """The route and the file beside it, as they are told."""
    (configuration.parent / "auth").mkdir()
    login = configuration.parent / "auth" / "relay"
    login.touch(mode=0o600)
    login.write_text("mta:s3cret\n")
    routes = block("example: relay").removeprefix("[routes]\n")
    configuration.write_text(configuration.read_text().replace("[routes] ", f"[routes]\n{routes}#", 1))
    relay = next(route for route in load(configuration, {}).routes if route.login)
    assert (relay.pattern, relay.host, relay.port, relay.tls) == (
        "*.example",
        "relay.acme.test",
        587,
        "verify",
    )


def test_the_drop_in_loads_what_the_unit_leaves_out() -> None:
    """Each kind of key is loaded by one of the two; the unit names the rest in comments."""
    unit = (PROJECT / "systemd" / "mta.service").read_text().splitlines()
    loaded = {line for line in unit if line.startswith("LoadCredential=")}
    more = set(block("example: drop-in").splitlines()) - {"[Service]"}
    assert {line.removeprefix("# ") for line in unit if "LoadCredential=" in line} == loaded | more
    assert {line.partition("=")[2].partition(":")[0] for line in loaded | more} == {
        "dkim",
        "tokens",
        "hash",
        "auth",
        "nats",
    }


def test_the_python_example_compiles() -> None:
    """It is run by hand, but at least it is Python; and what it sends is not what is sent next by hand."""
    compile(block("example: python"), "README.md", "exec")
    ids = re.findall(r"welcome-\d+", block("example: payload") + block("example: python"))
    assert len(set(ids)) == len(ids)


def test_every_key_of_the_configuration_is_named() -> None:
    """An operator finds each key of each table in the row of its table."""
    said = section("Configuration")
    for table, keys in KEYS.items():
        (row,) = re.findall(rf"^\| `\[{table}[\].].*$", said, re.MULTILINE)
        assert {key for key in keys if f"`{key}`" not in row} == set()


def test_every_field_of_a_payload_is_named() -> None:
    """But for those that only a daemon writes, and those whose feature is not there yet."""
    said = README.split("### The payload")[1].split("## Events")[0]
    names = {field.encode_name for field in msgspec.structs.fields(Payload)}
    later = {"channel", "retry"}
    assert {name for name in names - later if f"`{name}`" not in said} == set()


def test_every_type_of_event_is_named() -> None:
    """In the table of events, if it can happen."""
    said = section("Events")
    assert {kind for kind in EventType if f"| `{kind}` |" not in said} == NOT_YET


def test_every_exit_code_is_named() -> None:
    """In the table of exit codes."""
    codes = {value for name, value in vars(exits).items() if name.startswith("EXIT_")}
    assert {code for code in codes if f"\n| {code} | " not in section("Configuration")} == set()
