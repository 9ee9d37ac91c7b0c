"""`mta setup`: streams, buckets and consumers, created or brought up to date. Safe to run at any time."""

from collections.abc import Mapping

from mta.admin.access import link
from mta.admin.output import Output, Table, cell
from mta.config.settings import Config
from mta.jetstream.layout import Capacity, fixed_consumers, streams
from mta.jetstream.settings import NatsSettings
from mta.jetstream.setup import setup as set_up
from mta.jetstream.setup import too_small

_STYLES = {"created": "green", "updated": "yellow", "unchanged": "dim"}


async def setup(config: Config | None, environ: Mapping[str, str], output: Output) -> int:
    nats = config.nats if config is not None else NatsSettings()
    capacity = Capacity(
        replicas=nats.replicas,
        payloads_max_bytes=nats.payloads_max_bytes,
        events_max_bytes=nats.events_max_bytes,
    )
    async with link(config, environ, "setup") as opened:
        report = await set_up(opened, capacity, ack_wait_s=nats.ack_wait_s)
        version, max_payload = opened.server_version, opened.max_payload
    names = [stream["name"] for stream in streams(capacity)]
    names += [f"{consumer.stream}/{consumer.name}" for consumer in fixed_consumers(nats.ack_wait_s)]
    done = {name: _what(name, report.created, report.updated) for name in names}
    output.result(
        {
            "server_version": version,
            **{word: [name for name, one in done.items() if one == word] for word in _STYLES},
            "lowered": report.lowered,
            "max_payload": max_payload,
        }
    )
    shown = Table("stream, bucket or consumer", "")
    for name, word in done.items():
        shown.add_row(cell(_spoken(name)), cell(word, _STYLES[word]))
    output.show(shown)
    for name, size in report.lowered.items():
        output.note(
            f"{name} holds only {size / 1e9:.1f} GB: the server has no room for more (max_file_store)",
            "yellow",
        )
    if warning := too_small(max_payload):
        output.note(warning, "yellow")
    return 0


def _what(name: str, created: tuple[str, ...], updated: tuple[str, ...]) -> str:
    return "created" if name in created else "updated" if name in updated else "unchanged"


def _spoken(name: str) -> str:
    """Without the prefixes that NATS puts before the streams of buckets."""
    for prefix, kind in (("KV_", "key-value"), ("OBJ_", "objects")):
        if name.startswith(prefix):
            return f"{name.removeprefix(prefix)} ({kind})"
    stream, _, consumer = name.partition("/")
    return f"{stream} consumer {consumer}" if consumer else name
