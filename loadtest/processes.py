"""The processes of a run that are not the daemon: the sink, and a nats-server and a name server of the run's own."""

import asyncio
import contextlib
import datetime
import itertools
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from loadtest.zone import Zone
from mta.jetstream.embedded import find_server

_START_S = 30.0
_STOP_S = 20.0
_PROJECT = Path(__file__).resolve().parents[1]


class NotStarted(RuntimeError):
    """It ended, or said nothing of being ready."""


class ChildProcess:
    """Started again after its end if need be; only what was started here is signalled."""

    def __init__(self, errors: Path) -> None:
        self._errors = errors
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def errors(self) -> str:
        return self._errors.read_text(errors="replace")[-2000:] if self._errors.exists() else ""

    async def _spawn(self, *command: str) -> asyncio.subprocess.Process:
        with self._errors.open("ab") as errors:
            self._process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=_PROJECT,
                start_new_session=True,
            )
        return self._process

    async def _first_line(self) -> list[int]:
        """The ports it says it has; empty where it did not start."""
        assert self._process is not None
        assert self._process.stdout is not None
        line = b""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_START_S):
                line = await self._process.stdout.readline()
        return [int(port) for port in line.split() if port.isdigit()]

    async def wait(self) -> int:
        assert self._process is not None
        return await self._process.wait()

    async def kill(self) -> None:
        """kill -9."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """In order, then by force."""
        if self._process is None:
            return
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_S):
                    await self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await self._process.wait()


class SinkProcess(ChildProcess):
    """`python -m loadtest.sink`, with its log and samples in `directory`. Started again it keeps its ports
    (the good one first) and goes on in the same log. `ports` are those it is to have; none: free ones."""

    def __init__(
        self,
        directory: Path,
        *options: str,
        is_tls: bool = False,
        ports: Iterable[int] = (),
        notes_connections: bool = False,
    ) -> None:
        super().__init__(directory / "sink.err")
        self.log = directory / "sink.log"
        self.connections = directory / "connections.log"
        self.ports = list(ports)
        self._samples = directory / "samples"
        self._samples.mkdir()
        self._options = ["--log", str(self.log), "--samples", str(self._samples), *options]
        if notes_connections:
            self._options += ["--connections", str(self.connections)]
        if is_tls:
            certificate = directory / "sink.pem"
            certificate.write_bytes(self_signed("sink.test"))
            self._options += ["--certificate", str(certificate)]

    @property
    def samples(self) -> list[Path]:
        """Messages kept whole, in the order of arrival."""
        return sorted(self._samples.glob("*.eml"), key=lambda path: int(path.stem))

    async def start(self) -> None:
        ports = ("--ports", *map(str, self.ports)) if self.ports else ()
        arguments = (*self._options, *ports)
        await self._spawn(sys.executable, "-m", "loadtest.sink", *arguments)
        self.ports = await self._first_line()
        if not self.ports:
            raise NotStarted("the sink did not start")


class NameserverProcess(ChildProcess):
    """`python -m loadtest.nameserver`; `log` has all that it was asked."""

    def __init__(self, directory: Path, zone: Zone) -> None:
        super().__init__(directory / "nameserver.err")
        self.log = directory / "questions.log"
        self.address = ""
        self._options = ["--log", str(self.log), *zone.options]

    async def start(self) -> None:
        await self._spawn(sys.executable, "-m", "loadtest.nameserver", *self._options)
        ports = await self._first_line()
        if not ports:
            raise NotStarted("the name server did not start")
        self.address = f"127.0.0.1:{ports[0]}"


class NatsProcess(ChildProcess):
    """A nats-server on a free loopback port, every write synced; started again it has the same port and store."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory / "nats.log")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.config = directory / "nats.conf"
        self.config.write_text(
            f'listen: "127.0.0.1:{self.port}"\n'
            f'jetstream {{ store_dir: "{directory / "store"}", sync_interval: always }}\n'
            "max_payload: 8MB\n"
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        """Returns when it takes connections."""
        await self._spawn(str(find_server()), "-c", str(self.config))
        give_up_at = time.monotonic() + _START_S
        for wait_s in itertools.repeat(0.02):
            if await self._answers():
                return
            if time.monotonic() > give_up_at:
                break
            await asyncio.sleep(wait_s)
        raise NotStarted("the nats-server did not start")

    async def _answers(self) -> bool:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        first = await reader.read(4)
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return first == b"INFO"


def self_signed(name: str) -> bytes:
    """Key and certificate in one PEM: enough for opportunistic TLS, which verifies nothing."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)
