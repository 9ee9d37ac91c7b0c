"""The receiver on real sockets, a daemon as a child process, and the demo as a whole."""

import asyncio
import json
import os
import signal
import smtplib
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme

from mta.demo.destinations import Destination
from mta.demo.policy import CUT, Features, Received
from mta.demo.process import DaemonFailed, DaemonProcess
from mta.demo.receiver import listen
from tests.fakes.trust import of_nobody, server, trusting

GROUP = b"MAIL FROM:<s@a.test>\r\nRCPT TO:<r@b.test>\r\n"
PROJECT = Path(__file__).resolve().parents[2]
LIMIT_S = 20.0


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await writer.wait_closed()


async def replies(reader: asyncio.StreamReader, number: int) -> list[bytes]:
    """That many final lines, and what came before each."""
    lines: list[bytes] = []
    while number:
        async with asyncio.timeout(LIMIT_S):
            line = await reader.readline()
        assert line, f"closed after {lines}"
        lines.append(line.rstrip())
        number -= line[3:4] == b" "
    return lines


async def test_receiver_answers_a_group_at_once() -> None:
    """BDAT, octets and the next envelope in one write, three replies, and the message arrives whole."""
    destination = Destination("other")
    listener = await listen(destination, Features())
    async with connected(listener.port) as (reader, writer):
        writer.write(b"EHLO client.test\r\n")
        await replies(reader, 2)
        writer.write(GROUP)
        await replies(reader, 2)
        writer.write(b"BDAT 3 LAST\r\nx\r\n" + GROUP)
        assert [line[:3] for line in await replies(reader, 3)] == [b"250"] * 3
    assert [received.body for received in destination.kept] == [b"x\r\n"]
    await listener.close()


async def test_receiver_speaks_tls() -> None:
    """After STARTTLS the same dialogue goes on in secret, and STARTTLS is offered no more."""
    authority = trustme.CA()
    destination = Destination("other")
    listener = await listen(destination, Features(tls=True), tls=server(authority, "127.0.0.1"))

    def send() -> bool:
        with smtplib.SMTP("127.0.0.1", listener.port, timeout=LIMIT_S) as client:
            client.starttls(context=trusting(authority))
            client.sendmail("s@a.test", ["r@b.test"], b"x\r\n.\r\n")
            return client.has_extn("starttls")

    assert not await asyncio.to_thread(send)
    assert [received.body for received in destination.kept] == [b"x\r\n.\r\n"]
    await listener.close()


async def test_receiver_survives_garbage_instead_of_tls() -> None:
    """A peer that asks for TLS and speaks none loses its connection; the next one is served."""
    listener = await listen(Destination("other"), Features(tls=True), tls=of_nobody())
    async with connected(listener.port) as (reader, writer):
        writer.write(b"EHLO client.test\r\nSTARTTLS\r\n")
        await replies(reader, 3)
        writer.write(b"this is no handshake\r\n" * 10)
        async with asyncio.timeout(LIMIT_S):
            await reader.read()
    async with connected(listener.port) as (reader, writer):
        writer.write(b"QUIT\r\n")
        assert (await replies(reader, 2))[-1][:3] == b"221"
    await listener.close()


class Cuts(Destination):
    def on_message(self, received: Received) -> bytes | None:
        return CUT


async def test_receiver_cuts_and_quits() -> None:
    """CUT ends the connection without a reply, QUIT with one; either way the end of file comes."""
    listener = await listen(Cuts("other"), Features())
    async with connected(listener.port) as (reader, writer):
        writer.write(b"EHLO client.test\r\n" + GROUP + b"BDAT 1 LAST\r\nx")
        await replies(reader, 4)
        assert await reader.read() == b""
    async with connected(listener.port) as (reader, writer):
        writer.write(b"QUIT\r\n")
        await replies(reader, 2)
        assert await reader.read() == b""
    await listener.close()


def stand_in(tmp_path: Path, script: str) -> DaemonProcess:
    """A child in the daemon's place, doing what `script` says; `say(text)` talks to the notify socket."""
    talk = (
        "import os, signal, socket, sys, time\n"
        "def say(text):\n"
        "    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:\n"
        "        s.sendto(text.encode(), os.environ['NOTIFY_SOCKET'])\n"
    )
    return DaemonProcess(tmp_path, tmp_path / "mta.toml", (sys.executable, "-c", talk + script))


def is_alive(daemon: DaemonProcess) -> bool:
    return Path(f"/proc/{daemon.pid}").exists()


async def test_daemon_is_ready_when_it_says_so(tmp_path: Path) -> None:
    """A status is not yet readiness; after READY=1 it runs, and SIGTERM ends it."""
    daemon = stand_in(tmp_path, "say('STATUS=soon'); say('READY=1\\nSTATUS=up'); signal.pause()")
    await daemon.start(LIMIT_S)
    assert is_alive(daemon)
    await daemon.stop()
    assert not is_alive(daemon)


async def test_daemon_that_ends_says_why(tmp_path: Path) -> None:
    """Who ends before it is ready is reported at once, with its log."""
    daemon = stand_in(tmp_path, "print('no such key file'); sys.exit(78)")
    with pytest.raises(DaemonFailed, match="exit code 78") as raised:
        await daemon.start(LIMIT_S)
    assert "no such key file" in raised.value.log
    await daemon.stop()


async def test_daemon_that_is_never_ready(tmp_path: Path) -> None:
    """Waiting has an end, and the child does not outlive it."""
    daemon = stand_in(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()")
    with pytest.raises(DaemonFailed, match="not ready"):
        await daemon.start(0.3)
    await daemon.stop(timeout_s=0.2)
    assert not is_alive(daemon)


async def test_daemon_that_dies_later_is_noticed(tmp_path: Path) -> None:
    """`watch` tells whoever relies on it."""
    daemon = stand_in(tmp_path, "say('READY=1'); print('out of memory'); sys.exit(70)")
    await daemon.start(LIMIT_S)
    with pytest.raises(DaemonFailed, match="exit code 70"):
        await daemon.watch()
    await daemon.stop()


def demo(*arguments: str, temporary: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "mta.cli", "demo", *arguments],
        cwd=PROJECT,
        env={**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A test run in the background has SIGINT ignored, and its children would inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def test_demo_ends_well(tmp_path: Path) -> None:
    """Unknown users bounce, greylisted ones arrive later, nothing is lost or doubled, signatures verify, and
    nothing is left behind."""
    running = demo("--recipients", "200", "--json", temporary=tmp_path)
    output, errors = running.communicate(timeout=90)
    assert (running.returncode, errors) == (0, "")
    report = json.loads(output)
    assert (report["recipients"], report["lost"], report["duplicates"], report["failed"]) == (200, 0, 0, 0)
    assert report["delivered"] + report["bounced"] == 200
    assert report["bounced"] > 0
    assert report["deferred_seen"] > 0
    assert report["dkim_verified"] == 20
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_demo_is_interrupted(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C in the middle stops every child and removes the directory."""
    running = demo("--recipients", "5000", temporary=tmp_path)
    assert running.stdout is not None
    for line in running.stdout:
        if "Ready" in line:
            break
    directory = next(tmp_path.glob("mta-demo-*"))
    assert using(directory)
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert running.returncode == 130
    assert output.endswith("\nStopped; what it started has ended.\n")
    assert list(tmp_path.iterdir()) == []
    assert not using(directory)


def test_demo_is_ended_before_it_has_begun(tmp_path: Path) -> None:
    """From the moment there is a directory there is somebody to remove it."""
    running = demo("--recipients", "50000", temporary=tmp_path)
    while not list(tmp_path.glob("mta-demo-*")):
        assert running.poll() is None
    running.send_signal(signal.SIGTERM)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130, errors
    assert "Traceback" not in errors
    assert not list(tmp_path.glob("mta-*"))


def using(directory: Path) -> list[str]:
    """Command lines of processes that name the directory."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if os.fsencode(directory) in command:
                found.append(command.decode(errors="replace"))
    return found
