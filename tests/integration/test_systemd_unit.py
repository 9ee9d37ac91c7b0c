import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "mta.service"


@pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="NOT TESTED: systemd-analyze is not installed"
)
def test_systemd_finds_nothing_to_say(tmp_path: Path) -> None:
    """`systemd-analyze verify`, with the program where the unit expects it replaced by one that is there."""
    unit = tmp_path / "mta.service"
    unit.write_text(UNIT.read_text().replace("ExecStart=/usr/bin/mta ", "ExecStart=/bin/true "))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_unit_says_what_the_process_contract_wants() -> None:
    """Each key in the section that knows it: systemd ignores a key in the wrong one."""
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(UNIT.read_text())
    assert unit["Unit"]["StartLimitIntervalSec"] == "0"
    wanted = {
        "Type": "notify",
        "NotifyAccess": "main",
        "ExecStart": "/usr/bin/mta run --config /etc/mta/mta.toml",
        "WatchdogSec": "30",
        "TimeoutStopSec": "330",
        "KillMode": "mixed",
        "Restart": "on-failure",
        "RestartSec": "2",
        "RestartPreventExitStatus": "64 77 78",
        "StateDirectory": "mta",
        "DynamicUser": "yes",
    }
    assert {key: unit["Service"][key] for key in wanted} == wanted
    assert "LoadCredential=dkim:/etc/mta/dkim\n" in UNIT.read_text()


@pytest.mark.parametrize(("name", "stream"), [("smtp", "25"), ("http", "127.0.0.1:9925")])
def test_sockets_come_by_name(tmp_path: Path, name: str, stream: str) -> None:
    """The daemon knows them by these names; verified together with the service they are for."""
    path = UNIT.with_name(f"mta-{name}.socket")
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(path.read_text())
    assert unit["Socket"]["ListenStream"] == stream
    assert unit["Socket"]["FileDescriptorName"] == name
    assert unit["Socket"]["Service"] == UNIT.name
    if shutil.which("systemd-analyze") is None:
        pytest.skip("NOT TESTED: systemd-analyze is not installed")
    service = UNIT.read_text().replace("ExecStart=/usr/bin/mta ", "ExecStart=/bin/true ")
    (tmp_path / UNIT.name).write_text(service.replace("[Install]", f"Sockets={path.name}\n[Install]"))
    (tmp_path / path.name).write_text(path.read_text())
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / path.name), str(tmp_path / UNIT.name)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
