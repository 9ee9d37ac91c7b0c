"""`mta nodes`: the daemons that answer, and how they are."""

import asyncio
import time
from collections.abc import Mapping

from mta.admin.access import link
from mta.admin.control import NODE
from mta.admin.eta import about
from mta.admin.exits import EXIT_NO
from mta.admin.output import Output, Table, cell
from mta.admin.view import NodeView, read
from mta.config.settings import Config
from mta.jetstream.connection import Link
from mta.jetstream.errors import JetStreamError
from mta.jetstream.kv import Bucket
from mta.jetstream.layout import CONTROL
from mta.jetstream.service import ask, nodes
from mta.model import times
from mta.pacing.fleet import OFFICE, broker_in

_ASK_S = 5.0


async def list_nodes(config: Config | None, environ: Mapping[str, str], output: Output) -> int:
    """EXIT_NO where there is none."""
    async with link(config, environ, "nodes") as opened:
        found = await nodes(opened)
        answers = await asyncio.gather(*(_ask(opened, name) for name in found))
        office = await Bucket(opened, CONTROL).get(OFFICE, leader=True)
    broker = broker_in(office.value) if office is not None else ""
    if not found:
        output.say("No node answers.", "red")
        return EXIT_NO
    shown = Table("node", "version", "running for", "payloads", "rate", "")
    for name, view in zip(found, answers, strict=True):
        if isinstance(view, str):
            output.result({"node": name, "error": view})
            shown.add_row(cell(name), cell("-"), cell("-"), cell("-"), cell("-"), cell(view, "red"))
            continue
        is_broker = name == broker
        output.result(
            {
                "node": name,
                "version": view.version,
                "started": times.render(view.started),
                "payloads": view.payloads,
                "rate": view.rate,
                "limits": view.limits,
                "is_broker": is_broker,
            }
        )
        shown.add_row(
            cell(name, "bold"),
            cell(view.version or "-"),
            cell(about(time.time() - view.started)),
            cell(f"{view.payloads:,}"),
            cell(f"{view.rate:,.1f}/s"),
            cell("divides the limits of the fleet" if is_broker else ""),
        )
    output.show(shown)
    return 0


async def _ask(opened: Link, name: str) -> NodeView | str:
    try:
        return read(NodeView, await ask(opened, name, NODE, timeout_s=_ASK_S), name)
    except JetStreamError as error:
        return f"does not answer: {error}"
