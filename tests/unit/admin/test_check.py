import json
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from mta.admin.check import check
from mta.admin.output import Output


def checked(
    path: Path, text: str, capsysbinary: pytest.CaptureFixture[bytes]
) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and grade and text of each thing that was looked at."""
    (path / "mta.toml").write_text(f"[node]\nstate_dir = '{path}/state'\n{text}")
    code = check(path / "mta.toml", {}, Output(as_json=True))
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    return code, {line["what"]: (line["grade"], line["text"]) for line in lines}


def test_a_configuration_that_holds_passes(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Warnings do not make it fail."""
    code, found = checked(tmp_path, "", capsysbinary)
    assert code == 0
    assert found["configuration"][0] == "pass"
    assert found["shaping"][0] == "pass"
    assert found["state directory"] == ("pass", f"{tmp_path}/state is made at the first start")
    assert found["tenants"] == ("warn", "none: every payload will be rejected")


def test_a_broken_configuration_names_each_problem(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With the path of the key, and the exit code of a configuration error."""
    code, found = checked(tmp_path, "workers = 'x'\n[nats]\nprot = 1", capsysbinary)
    assert code == 78
    assert {what: grade for what, (grade, _) in found.items()} == {
        "node.workers": "fail",
        "nats.prot": "fail",
    }
    assert str(tmp_path) in found["nats.prot"][1]


def test_an_address_that_is_not_ours_fails(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Mail could not leave from it."""
    text = "[sources]\na = { ehlo = 'a.test', address = '127.0.0.1' }\nb = { ehlo = 'b.test', address = '192.0.2.1' }"
    code, found = checked(tmp_path, text, capsysbinary)
    assert code == 1
    assert found["source a"] == ("pass", "127.0.0.1 can be bound")
    assert found["source b"][0] == "fail"
    assert "Give this machine that address, or correct [sources]" in found["source b"][1]


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/mta"])
def test_a_state_directory_that_cannot_be_one_fails(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], place: str
) -> None:
    """Whoever the daemon runs as."""
    (tmp_path / "file").touch()
    (tmp_path / "mta.toml").write_text(f"[node]\nstate_dir = '{tmp_path / place}'")
    assert check(tmp_path / "mta.toml", {}, Output(as_json=True)) == 1
    lines = [json.loads(line) for line in capsysbinary.readouterr().out.splitlines()]
    (line,) = (line for line in lines if line["what"] == "state directory")
    assert line["grade"] == "fail"
    assert f"{tmp_path / place} cannot be used" in line["text"]


def test_people_get_a_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And a last line that counts."""
    (tmp_path / "mta.toml").write_text("")
    check(tmp_path / "mta.toml", {}, Output())
    out = capsys.readouterr().out
    assert "pass  configuration" in out
    assert "warn  tenants" in out
    assert " warn" in out.splitlines()[-1]


def test_h16_a_certificate_that_cannot_be_used_fails(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The daemon runs without it; whoever asks hears of it. Where reports come in is said as well."""
    leaf = trustme.CA().issue_cert("mx.acme.test", not_after=datetime.now(UTC) + timedelta(days=9))
    for name, content in (("token-k1", b"k" * 32), ("k.pem", leaf.private_key_pem.bytes()), ("c.pem", b"?")):
        (tmp_path / name).touch(mode=0o600)
        (tmp_path / name).write_bytes(content)
    text = """
        [inbound]
        listen = '127.0.0.1:2525'
        certificate = 'c.pem'
        key = 'k.pem'
        [tokens]
        keys = { k1 = 'token-k1' }
        [tenants.acme]
        return_path = 'b.acme.test'
    """
    code, found = checked(tmp_path, text, capsysbinary)
    assert code == 1
    assert found["inbound"][1].startswith("127.0.0.1:2525, reports to b.acme.test")
    assert found["inbound certificate"][0] == "fail"
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "c.pem"))
    code, found = checked(tmp_path, text, capsysbinary)
    assert (code, found["inbound certificate"][0]) == (0, "pass")
    old = trustme.CA().issue_cert(
        "mx.acme.test",
        not_before=datetime.now(UTC) - timedelta(days=9),
        not_after=datetime.now(UTC) - timedelta(days=1),
    )
    old.cert_chain_pems[0].write_to_path(str(tmp_path / "c.pem"))
    old.private_key_pem.write_to_path(str(tmp_path / "k.pem"))
    code, found = checked(tmp_path, text, capsysbinary)
    assert (code, found["inbound certificate"][0]) == (0, "warn")


def test_a_bounce_rule_that_breaks_its_promise_fails(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """With file and rule; one that holds is counted."""
    rule = "class = 'policy'\ntext = ['xyz']\nsince = '2026-11'\nsource = 's'\ncounter = ['550 x']\n"
    (tmp_path / "bounces.toml").write_text(f"[generic.a]\n{rule}example = ['550 xyz']\n")
    code, found = checked(tmp_path, "", capsysbinary)
    assert code == 0
    assert "bounces.toml: 1 rule in front of " in found["bounces"][1]
    (tmp_path / "bounces.toml").write_text(f"[generic.a]\n{rule}example = ['550 nothing of it']\n")
    code, found = checked(tmp_path, "", capsysbinary)
    assert code == 78
    grade, text = found["generic.a.example[0]"]
    assert grade == "fail"
    assert "no text matched" in text
    assert str(tmp_path / "bounces.toml") in text


@pytest.mark.parametrize("table", ["[inbound]\nlisten", "[http]\npublic_url = 'https://u.acme.test'\nlisten"])
def test_where_it_listens_is_tried(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes], table: str
) -> None:
    """A port that is taken may be the daemon's own; an address of another machine never is."""
    (tmp_path / "token-k1").touch(mode=0o600)
    (tmp_path / "token-k1").write_bytes(b"k" * 32)
    keys = "\n[tokens]\nkeys = { k1 = 'token-k1' }"
    what = "inbound.listen" if "inbound" in table else "http.listen"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        code, found = checked(tmp_path, f"{table} = '{place}'{keys}", capsysbinary)
        assert (code, found[what][0]) == (0, "warn")
        assert "is in use" in found[what][1]
    assert checked(tmp_path, f"{table} = '{place}'{keys}", capsysbinary)[1][what][0] == "pass"
    code, found = checked(tmp_path, f"{table} = '192.0.2.1:2525'{keys}", capsysbinary)
    assert (code, found[what][0]) == (1, "fail")


def test_addresses_that_nobody_answers_are_warned_of(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The listener may be another node's, but there must be one."""
    (tmp_path / "token-k1").touch(mode=0o600)
    (tmp_path / "token-k1").write_bytes(b"k" * 32)
    text = "[inbound]\nadvertise = true\n[tokens]\nkeys = { k1 = 'token-k1' }"
    code, found = checked(tmp_path, text, capsysbinary)
    assert (code, found["inbound.advertise"][0]) == (0, "warn")


def test_a_rule_that_never_fires_is_an_error_of_the_configuration(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    """The classifier says so: it stands in shaping.toml and is named there."""
    rule = """
        [[automation]]
        name = "r"
        class = "greylisted"
        source = "s"
        actions = [{ kind = "alert", at = "path" }]
        example = "end_of_data: 550 5.7.1 spam message rejected"
        counter = "rcpt: 451 4.7.1 Greylisting in action"
    """
    (tmp_path / "shaping.toml").write_text(rule)
    code, found = checked(tmp_path, "", capsysbinary)
    assert code == 78
    assert found["automation.r.example[0]"][0] == "fail"
    assert "the classifier makes it spam_content" in found["automation.r.example[0]"][1]
    assert "fits although it must not" in found["automation.r.counter[0]"][1]
    assert str(tmp_path / "shaping.toml") in found["automation.r.counter[0]"][1]


def test_what_shaping_holds_is_counted(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    """Only what is there; odd limits are warnings."""
    (tmp_path / "shaping.toml").write_text(
        """
        [providers.p]
        mx = [".p.test"]
        provider_connections = 5
        [sites.s]
        mx = ["mx.s.test"]
        [[overrides]]
        site = "s"
        reason = "x"
        window = 2
        """
    )
    code, found = checked(tmp_path, "", capsysbinary)
    assert code == 0
    assert found["shaping"][1].endswith(": 1 provider by 1 MX suffix, all reachable, 1 site, 1 override")
    assert found["providers.p.provider_connections"][0] == "warn"
