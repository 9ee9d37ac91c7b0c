import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from mta.admin.sockets import bound, inherited
from mta.config.problems import ConfigError
from tests.fakes.nats import free_port

_CHILD = """
import os, socket
from mta.admin.sockets import inherited
found = inherited(os.environ | {"LISTEN_PID": str(os.getpid())})
print({name: [one.getsockname()[1] for one in sockets] for name, sockets in sorted(found.items())})
print([os.get_inheritable(one.fileno()) for sockets in found.values() for one in sockets])
"""


def test_sockets_are_found_by_name(tmp_path: Path) -> None:
    """As the manager passes them: from descriptor 3 on. What does not listen is left alone."""
    smtp, http = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
    other = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    passed = [smtp, http, other]
    environ = os.environ | {"LISTEN_FDS": "3", "LISTEN_FDNAMES": "smtp:http:smtp"}

    def arrange() -> None:
        for place, one in enumerate([os.dup(one.fileno()) for one in passed]):
            os.dup2(one, 3 + place)

    done = subprocess.run(
        [sys.executable, "-c", _CHILD],
        env=environ,
        preexec_fn=arrange,
        close_fds=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    ports = {"http": [http.getsockname()[1]], "smtp": [smtp.getsockname()[1]]}
    assert done.stdout.splitlines() == [str(ports), "[False, False]"], done.stderr
    for one in passed:
        one.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_FDS": "1", "LISTEN_PID": "1"},
        {"LISTEN_FDS": "x", "LISTEN_PID": "7"},
        {"LISTEN_FDS": "-1", "LISTEN_PID": "7"},
    ],
)
def test_sockets_of_others_are_not_ours(environ: dict[str, str]) -> None:
    assert inherited(environ, 7) == {}


def test_an_address_of_our_own(tmp_path: Path) -> None:
    """And one that is none, as a finding of the configuration."""
    port = free_port()
    with bound(f"127.0.0.1:{port}", "inbound.listen", tmp_path) as one:
        assert one.getsockname() == ("127.0.0.1", port)
    with pytest.raises(ConfigError, match=r"inbound\.listen: 192\.0\.2\.1:25 cannot be bound"):
        bound("192.0.2.1:25", "inbound.listen", tmp_path)
