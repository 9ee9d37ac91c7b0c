"""N10: with the permissions that README.md shows, and no others, a daemon does its work and staff may look at it."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from mta.jetstream.connection import open_link
from mta.jetstream.layout import Capacity
from mta.jetstream.setup import setup
from mta.model.lane import Lane
from mta.model.login import Login
from tests.fakes.nats import NatsServer
from tests.fakes.rig import Rig, check_copies, numbered
from tests.fakes.smtp_server import On
from tests.fakes.verbs import verb

README = (Path(__file__).parents[2] / "README.md").read_text()
USERS = re.findall(r"^<!-- example: permissions -->\n```\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)[0]


@asynccontextmanager
async def limited(directory: Path) -> AsyncIterator[Rig]:
    """A server with those users and one who may do all, as which the story itself publishes and reads."""
    users = f"{{ user: root, password: x }}\n{USERS}"
    server = NatsServer(directory, extra_config=f"authorization {{ users: [ {users} ] }}")
    await server.start()
    try:
        link = await open_link(server.settings(login=Login("root", "x")), name="setup", report=print)
        await setup(link, Capacity(events_max_bytes=1 << 27), ack_wait_s=30.0)
        await link.close()
        rig = Rig(directory, server=server.url.replace("//", "//root:x@"))
        rig.configure(retry="10m")
        whole = rig.config.read_text().replace("//root:x@", "//")
        for name, config in (("mta", rig.config), ("staff", directory / "staff.toml")):
            (directory / name).touch(mode=0o600)
            (directory / name).write_text(f"{name}:x\n")
            config.write_text(whole.replace("[nats]", f'[nats]\ncredentials = "{name}"'))
        try:
            yield rig
        finally:
            await rig.close()
    finally:
        server.stop()


async def test_mail_is_sent_and_watched(tmp_path: Path) -> None:
    """Delivered, deferred and delivered again, bounced, told; what waits is shown to who may only look. The server has
    refused nothing."""
    async with limited(tmp_path) as rig:
        await rig.start()
        greylisted = On("rcpt", [b"451 4.7.1 greylisted\r\n"], recipient="r1@d0.test", times=1)
        unknown = On("rcpt", [b"550 5.1.1 unknown\r\n"], recipient="r2@d0.test")
        async with rig.destination(greylisted, unknown) as place:
            payload = rig.payload(*numbered(place.domain, 5))
            told = await rig.deliver(payload, lane=Lane.BULK, campaign="c")
            check_copies(place, told)
            assert told.counts() == {"delivered": 4, "bounced": 1}
            waits = rig.payload(*numbered(rig.dead_domain(), 7))
            await rig.publish(waits, lane=Lane.BULK, campaign="dead")
            await rig.saw(waits, "deferred")
            staff = ("--json", "--config", str(rig.directory / "staff.toml"))
            code, out, err = await verb("explain", "backlog", *staff)
            assert (code, err) == (0, b"")
            total = json.loads(out.splitlines()[-1])
            assert 6 <= total["now"] + total["later"] <= 8  # one may be moving
            code, out, err = await verb("nodes", *staff)
            assert (code, err) == (0, b"")
            assert json.loads(out)["node"] == "rig"
            code, _, err = await verb("campaign", "ls", *staff)
            assert (code, err) == (0, b"")
            code, _, err = await verb("campaign", "pause", "c", "--tenant", "acme", "--reason", "x", *staff)
            assert code == 77, err
        await rig.daemon.stop()
        assert "ermissions violation" not in rig.log
        assert "Traceback" not in rig.log
