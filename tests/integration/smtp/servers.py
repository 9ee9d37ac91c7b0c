"""Real mail servers on loopback: unpacked into a directory of their own, and delivering into a maildir there.

Nothing of the machine is changed but its package lists: Debian's packages are downloaded and unpacked, not
installed (Postfix and Exim would exclude each other), npm's go into the same directory. That happens only
with CI=true or MTA_INSTALL_SERVERS=1; what was unpacked once is used again.
"""

import asyncio
import os
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

CACHE = Path(tempfile.gettempdir()) / "mta-real-servers"
HARAKA = "Haraka@3.3.4"
DAEMON_USER = "daemon"
"""Whom Postfix and Exim run as: an account that every Debian has."""


class Missing(Exception):
    """Why the server can not be had here."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def home() -> Iterator[Path]:
    """A directory that a server may enter under its own account."""
    with tempfile.TemporaryDirectory(prefix="mta-real-server-") as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def unpacked(name: str, install: Callable[[Path], None]) -> Path:
    """The directory it was unpacked into, now or by an earlier run."""
    tree = CACHE / name
    if tree.is_dir():
        return tree
    if os.environ.get("CI") != "true" and os.environ.get("MTA_INSTALL_SERVERS") != "1":
        raise Missing("not unpacked yet, and neither CI=true nor MTA_INSTALL_SERVERS=1 allows that")
    CACHE.mkdir(mode=0o755, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as work:
        building = Path(work) / name
        building.mkdir(mode=0o755)
        Path(work).chmod(0o755)
        install(building)
        building.rename(tree)
    return tree


def debian(package: str) -> Callable[[Path], None]:
    """Download a package with what it needs and the machine has not, and unpack all of it."""

    def install(tree: Path) -> None:
        need("apt-get", "dpkg")
        if os.getuid() != 0:
            raise Missing("apt-get needs root")
        archives = tree / "archives"
        (archives / "partial").mkdir(parents=True)
        run("apt-get", "-qq", "update")
        options = (
            "-qq",
            "--yes",
            "--download-only",
            "--no-install-recommends",
            f"-oDir::Cache::archives={archives}",
        )
        run("apt-get", "install", *options, package)
        for archive in archives.glob("*.deb"):
            run("dpkg", "-x", str(archive), str(tree))

    return install


def debian_exim(tree: Path) -> None:
    """Debian's Exim will not start without the account that its package makes: name another in the copy."""
    debian("exim4-daemon-light")(tree)
    binary = tree / "usr/sbin/exim4"
    name = b"Debian-exim\0"
    binary.write_bytes(binary.read_bytes().replace(name, DAEMON_USER.encode().ljust(len(name), b"\0")))
    binary.chmod(0o4755)


def npm(package: str) -> Callable[[Path], None]:
    def install(tree: Path) -> None:
        need("npm", "node")
        run("npm", "install", "--no-audit", "--no-fund", "--omit=optional", "--prefix", str(tree), package)

    return install


def need(*commands: str) -> None:
    absent = [command for command in commands if shutil.which(command) is None]
    if absent:
        raise Missing(f"no {' and no '.join(absent)}")


def run(*command: str) -> None:
    try:
        subprocess.run(
            command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=45
        )
    except subprocess.CalledProcessError as error:
        raise Missing(f"{' '.join(command[:2])}: {error.stderr.strip()[-200:]}") from error
    except (subprocess.TimeoutExpired, OSError) as error:
        raise Missing(f"{' '.join(command[:2])}: {error}") from error


class RealServer:
    """`spool` holds one file for each message, with the server's own trace headers in front."""

    def __init__(self, port: int, spool: Path) -> None:
        self.port = port
        self.spool = spool

    def paths(self) -> list[Path]:
        return list(self.spool.iterdir())

    def messages(self) -> list[bytes]:
        return [path.read_bytes() for path in self.paths()]

    def empty(self) -> None:
        for path in self.spool.iterdir():
            path.unlink()

    async def holds(self, count: int) -> None:
        """Until that many messages have been delivered into the spool."""
        async with asyncio.timeout(20):
            while len(self.paths()) < count:  # noqa: ASYNC110 (a file is all that tells)
                await asyncio.sleep(0.02)


class EximSpool(RealServer):
    """Exim's own queue: two files for each message, the second one telling that it is complete."""

    def paths(self) -> list[Path]:
        return list(self.spool.glob("*-H"))

    def messages(self) -> list[bytes]:
        found = []
        for path in self.paths():
            lines = path.read_bytes().split(b"\n")
            headers = re.findall(rb"^\d{3}.? (X-[^\n]*\n)", b"\n".join(lines), re.MULTILINE)
            body = path.with_name(path.name.removesuffix("H") + "D").read_bytes().partition(b"\n")[2]
            found.append(b"Return-Path: %b\n%b\n%b" % (lines[2], b"".join(headers), body))
        return found


@contextmanager
def serving(command: list[str], environment: dict[str, str], server: RealServer) -> Iterator[RealServer]:
    """From when it listens until it and its children are gone."""
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], "LANG": "C", **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            fault = _wait_until_it_listens(process, server.port)
            if fault:
                output.seek(0)
                raise Missing(
                    f"{command[0]} {fault}: {output.read()[-300:].decode(errors='replace').strip()}"
                )
            yield server
        finally:
            # Its own group: what it started is ended with it, and nothing else.
            for number in (signal.SIGTERM, signal.SIGKILL):
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, number)
                with suppress(subprocess.TimeoutExpired):
                    process.wait(5)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int) -> str:
    for _ in range(400):
        if process.poll() is not None:
            return f"ended with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return ""
        except OSError:
            time.sleep(0.025)
    return "does not listen"


def owned(path: Path) -> Path:
    user = pwd.getpwnam(DAEMON_USER)
    path.mkdir(parents=True, exist_ok=True)
    os.chown(path, user.pw_uid, user.pw_gid)
    return path


def libraries(tree: Path) -> str:
    places = {str(path.parent) for path in tree.rglob("lib*.so*")}
    return ":".join(sorted(places))


_QUEUES = ["incoming", "active", "bounce", "corrupt", "defer", "deferred", "flush", "hold", "maildrop"]
_QUEUES += ["private", "public", "saved", "trace"]


@contextmanager
def postfix(home: Path) -> Iterator[RealServer]:
    tree = unpacked("postfix", debian("postfix"))
    if os.getuid() != 0:
        raise Missing("Postfix needs root")
    conf, queue, port = home / "conf", home / "queue", free_port()
    conf.mkdir()
    queue.mkdir()
    for name in _QUEUES:
        owned(queue / name)
    (queue / "pid").mkdir()
    spool = owned(owned(home / "inbox") / "new")
    for name in ("cur", "tmp"):
        owned(home / "inbox" / name)
    user = pwd.getpwnam(DAEMON_USER)
    (conf / "users").write_text("/^r[0-9]+@b\\.test$/ inbox/\n")
    loader = f"LD_LIBRARY_PATH={libraries(tree)}"
    (conf / "main.cf").write_text(
        f"""
compatibility_level = 3.6
queue_directory = {queue}
data_directory = {owned(home / "data")}
daemon_directory = {tree}/usr/lib/postfix/sbin
command_directory = {tree}/usr/sbin
shlib_directory = {tree}/usr/lib/postfix
meta_directory = {tree}/etc/postfix
mail_owner = {DAEMON_USER}
setgid_group = operator
default_privs = nobody
import_environment = MAIL_CONFIG MAIL_LOGTAG LANG=C {loader}
export_environment = MAIL_CONFIG LANG {loader}
maillog_file_prefixes = {home}
maillog_file = {home}/log
myhostname = mx.test
mydestination =
alias_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks =
smtpd_peername_lookup = no
smtpd_relay_restrictions = reject_unauth_destination
virtual_mailbox_domains = b.test
virtual_mailbox_base = {home}
virtual_mailbox_maps = regexp:{conf}/users
virtual_minimum_uid = 1
virtual_uid_maps = static:{user.pw_uid}
virtual_gid_maps = static:{user.pw_gid}
"""
    )
    services = [f"127.0.0.1:{port} inet n - n - - smtpd", "postlog unix-dgram n - n - 1 postlogd"]
    services += [
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "rewrite unix - - n - - trivial-rewrite",
    ]
    services += [
        "virtual unix - n n - - virtual",
        "anvil unix - - n - 1 anvil",
        "proxymap unix - - n - - proxymap",
    ]
    services += [f"{name} unix - - n - 0 bounce" for name in ("bounce", "defer", "trace")]
    (conf / "master.cf").write_text("\n".join(services) + "\n")
    command = [f"{tree}/usr/lib/postfix/sbin/master", "-d", "-c", str(conf)]
    environment = {"LD_LIBRARY_PATH": libraries(tree), "MAIL_CONFIG": str(conf)}
    with serving(command, environment, RealServer(port, spool)) as server:
        yield server


@contextmanager
def exim(home: Path) -> Iterator[RealServer]:
    tree = unpacked("exim", debian_exim)
    if os.getuid() != 0:
        raise Missing("Exim needs root")
    port = free_port()
    spool = owned(owned(home / "spool") / "input")
    conf = home / "exim.conf"
    conf.write_text(
        f"""
exim_path = {tree}/usr/sbin/exim4
exim_user = {DAEMON_USER}
exim_group = {DAEMON_USER}
spool_directory = {home / "spool"}
log_file_path = {owned(home / "log")}/%slog
pid_file_path = {home}/spool/pid
daemon_smtp_ports = {port}
local_interfaces = 127.0.0.1
primary_hostname = mx.test
never_users = root
deliver_drop_privilege = true
queue_only = true
message_logs = false
tls_advertise_hosts =
host_lookup =
rfc1413_query_timeout = 0s
smtp_accept_max = 0
keep_environment =
acl_smtp_rcpt = check
begin acl
check:
  accept domains = b.test
         local_parts = ^r[0-9]+\\$
  deny message = unknown user
"""
    )
    command = [f"{tree}/usr/sbin/exim4", "-bdf", "-C", str(conf)]
    with serving(command, {"LD_LIBRARY_PATH": libraries(tree)}, EximSpool(port, spool)) as server:
        yield server


HARAKA_PLUGIN = """
const fs = require('fs')
let count = 0
exports.hook_rcpt = (next, connection, [rcpt]) =>
  /^r[0-9]+$/.test(rcpt.user) ? next(OK) : next(DENY, 'unknown user')
exports.hook_queue = (next, connection) => {
  const transaction = connection.transaction
  const name = `${++count}`
  const file = fs.createWriteStream(`${process.env.SPOOL}/${name}`)
  file.write(`Return-Path: ${transaction.mail_from}\\r\\n`)
  file.on('close', () => fs.rename(file.path, `${process.env.INBOX}/${name}`, () => next(OK)))
  transaction.message_stream.pipe(file)
}
"""


@contextmanager
def haraka(home: Path, greeting: str = "") -> Iterator[RealServer]:
    """`greeting` replaces the one that names the server."""
    need("node")
    tree = unpacked("haraka", npm(HARAKA))
    port = free_port()
    spool, inbox = home / "spool", home / "inbox"
    for path in (home / "config", home / "plugins", spool, inbox):
        path.mkdir()
    (home / "config" / "smtp.ini").write_text(f"listen=127.0.0.1:{port}\nnodes=0\n")
    (home / "config" / "me").write_text("mx.test\n")
    (home / "config" / "plugins").write_text("spool\n")
    (home / "config" / "loglevel").write_text("ERROR\n")
    usual = (tree / "node_modules/Haraka/config/connection.ini").read_text()
    section = f"[message]\ngreeting[]={greeting}\n" if greeting else "[message]\n"
    (home / "config" / "connection.ini").write_text(usual.replace("[message]\n", section))
    (home / "plugins" / "spool.js").write_text(HARAKA_PLUGIN)
    command = [shutil.which("node") or "node", str(tree / "node_modules/Haraka/bin/haraka"), "-c", str(home)]
    environment = {"SPOOL": str(spool), "INBOX": str(inbox), "HOME": str(home)}
    with serving(command, environment, RealServer(port, inbox)) as server:
        yield server
