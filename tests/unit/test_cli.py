"""The program as a whole: options, exit codes, what a person reads. In a process of its own where one is the point, and
sparingly, as each costs a third of a second."""

import json
import os
import subprocess
import sys
import time
import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.fakes.nobody import NOBODY
from tests.fakes.verbs import typed

ROOT = Path(__file__).parents[2]


def mta(
    *arguments: str, given: bytes = b"", user: int | None = None, **environ: str
) -> subprocess.CompletedProcess[str]:
    """Runs it without any configuration but what the arguments name."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("MTA_", "STATE_"))}
    return subprocess.run(
        [sys.executable, "-m", "mta.cli", *arguments],
        cwd=ROOT,
        env={**kept, "COLUMNS": "200", **environ},
        input=given.decode(),
        capture_output=True,
        text=True,
        timeout=60,
        user=user,
    )


def test_help_is_quick_and_names_every_verb() -> None:
    """It imports nothing heavy."""
    done = mta("--help")
    assert done.returncode == 0
    for verb in (
        "run",
        "demo",
        "setup",
        "check",
        "preflight",
        "send",
        "tail",
        "bounces",
        "msg",
        "template",
        "campaign",
        "dkim",
        "explain",
        "bounces",
    ):
        assert f" {verb} " in done.stdout
    heavy = "('nats', 'jinja2', 'cryptography', 'aiosmtplib')"
    code = f"import sys, mta.cli; print([m for m in {heavy} if m in sys.modules])"
    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert loaded.stdout == "[]\n"


@pytest.mark.parametrize(
    "words",
    [
        ("suppress", "rm"),
        ("queue", "hold"),
        ("queue", "release"),
        ("campaign", "pause"),
        ("campaign", "cancel"),
    ],
    ids=" ".join,
)
def test_help_marks_a_reason_that_is_needed(words: tuple[str, ...]) -> None:
    """As it marks an argument that is: with a star in front."""
    code, said, _ = typed(*words, "--help")
    assert code == 0
    (line,) = [line for line in said.decode().splitlines() if " --reason " in line]
    assert line.split()[1] == "*"
    code, _, complained = typed(*words, "abcdef@example.test")
    assert code == 64
    assert "Missing option '--reason'" in complained.decode()


def test_it_knows_its_version() -> None:
    """That of the project."""
    done = mta("--version")
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (done.returncode, done.stdout) == (0, f"mta {wanted}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nope"],
        ["tail", "--nope"],
        ["send", "--lane", "fast", "x"],
        ["demo", "--recipients", "0"],
        ["bounces", "explain", "full", "--code", "200"],
        ["bounces", "explain", "full", "--provider", "gogle"],
    ],
)
def test_wrong_usage_is_64(arguments: list[str]) -> None:
    """As sysexits has it."""
    code, _, errors = typed(*arguments)
    assert code == 64
    assert b"Traceback" not in errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ["p.json", "--campaign", "c", "--from", "a@b.test"],
            "a payload says by itself what --from, --campaign would",
        ),
        (["--campaign", "c"], "a mailing also needs --template or --text, --recipients, --from, --subject"),
        (["--recipients", "l.csv", "--text", "t", "--from", "a@b.test"], "a mailing also needs --subject"),
    ],
)
def test_what_send_would_not_heed_is_refused(arguments: list[str], said: str) -> None:
    """An option without effect is a misunderstanding."""
    code, _, errors = typed("send", *arguments)
    assert code == 64
    assert said in errors.decode()


@pytest.mark.parametrize(("options", "code"), [([], 550), (["--code", "452", "--provider", "yahoo"], 452)])
def test_words_without_a_code_are_explained(options: list[str], code: int) -> None:
    """By the one that is named, else by one that is assumed."""
    done, out, _ = typed("bounces", "explain", "mailbox full", "--json", *options)
    told = json.loads(out)
    assert (done, told["code"], told["is_code_assumed"]) == (0, code, not options)


def test_a_missing_file_is_66(tmp_path: Path) -> None:
    """Named."""
    code, _, errors = typed("send", str(tmp_path / "nope.json"))
    assert (code, errors.decode()) == (66, f"mta: {tmp_path}/nope.json: No such file or directory\n")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(["tail", "--config"], 78), (["template", "put", "x", "--tenant", "a", "--text"], 66)],
)
def test_a_file_that_may_not_be_read_has_its_exit_code(arguments: list[str], code: int) -> None:
    """Not that of wrong usage, which the parser of options would give it."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        place = Path(name) / "x"
        place.touch(mode=0)
        done = mta(*arguments, str(place), user=NOBODY if os.geteuid() == 0 else None)
    assert (done.returncode, "Permission denied" in done.stderr) == (code, True), done.stderr


def test_an_unusable_payload_is_1() -> None:
    """With the daemon's reason, from stdin as well."""
    done = mta("send", given=b'{"v": 1}')
    assert done.returncode == 1
    assert (
        done.stderr == "mta: the payload would be rejected (schema): Object missing required field `tenant`\n"
    )


def test_no_server_is_69(tmp_path: Path) -> None:
    """With what to do."""
    done = mta("setup", STATE_DIRECTORY=str(tmp_path))
    assert done.returncode == 69
    assert f"no embedded server has been started in {tmp_path}" in done.stderr
    assert "mta run" in done.stderr


def test_a_broken_configuration_is_78(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By option and by environment, every problem on a line of its own."""
    config = tmp_path / "mta.toml"
    config.write_text("[nats]\nprot = 1\n[nod]\n")
    lines = [
        f'mta: {config}: nod: unknown key; did you mean "node"?',
        f'mta: {config}: nats.prot: unknown key; did you mean "port"?',
        "     Correct it and look again with: mta check",
    ]
    for option in (["--config", str(config)], [f"--config={config}"]):
        code, _, errors = typed("run", *option)
        assert code == 78
        assert errors.decode().splitlines() == [*lines[:2], f"{lines[2]} {' '.join(option)}"]
    monkeypatch.setenv("MTA_CONFIG", str(config))
    code, _, errors = typed("tail")
    assert (code, errors.decode().splitlines()) == (78, lines)


def test_the_shipped_configuration_passes_the_check(tmp_path: Path) -> None:
    """What a newcomer does first."""
    done = mta("check", "--config", "conf/mta.toml", STATE_DIRECTORY=str(tmp_path))
    assert (done.returncode, done.stderr) == (0, "")
    assert "pass  shaping" in done.stdout


@pytest.mark.skipif(Path("/etc/mta/mta.toml").exists(), reason="NOT TESTED: this machine has a configuration")
@pytest.mark.parametrize("verb", ["run", "check"])
def test_without_any_configuration_a_newcomer_learns_what_to_do(verb: str) -> None:
    """Where the shipped one is."""
    done = mta(verb)
    assert done.returncode == 78
    assert "conf/mta.toml" in done.stderr


def test_help_takes_no_time() -> None:
    """The best of three: the machine may be busy."""

    def timed() -> float:
        started = time.perf_counter()
        mta("--help")
        return time.perf_counter() - started

    assert min(timed() for _ in range(3)) < 1.0


def test_a_mail_that_came_back_is_read_from_standard_input() -> None:
    """`mta bounces read -` needs no configuration."""
    done = mta(
        "bounces",
        "read",
        "-",
        "--json",
        given=b"From: MAILER-DAEMON@a.test\n\nNot delivered to:\n\n<b@c.test>\n550 no\n",
    )
    assert done.returncode == 0
    assert '"kind":"bounce"' in done.stdout
    assert '"recipient":"b@c.test"' in done.stdout


def test_a_mail_that_is_not_there_is_missing_input() -> None:
    """66, and one line that says so."""
    code, out, errors = typed("bounces", "read", "/nonexistent/mail.eml")
    assert (code, out) == (66, b"")
    assert b"cannot read /nonexistent/mail.eml" in errors
