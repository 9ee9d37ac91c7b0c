"""What operators are told reaches MTA_OPS, or at least the log."""

import json

import structlog

from mta.events.operations import Operations
from tests.fakes.pump import FakePump


def test_a_notice_is_published() -> None:
    """Under node and type, with what is known and nothing that is not."""
    pump = FakePump(is_prompt=True)
    Operations(pump, "mta1").tell("tls_downgrade", mx_host="mx.test", mx_ip="")
    (stored,) = pump.stored
    event = json.loads(stored.body)
    assert stored.subject == "mta.ops.mta1.tls_downgrade"
    assert (event["v"], event["type"], event["node"], event["mx_host"]) == (
        1,
        "tls_downgrade",
        "mta1",
        "mx.test",
    )
    assert "mx_ip" not in event


def test_what_all_nodes_see_is_kept_once() -> None:
    """Whoever tells it first: the stream drops what has the same id."""
    pump = FakePump(is_prompt=True)
    for node in ("mta1", "mta2"):
        Operations(pump, node).tell_once("action.x.source_resumed.1", "source_resumed", source="a1")
    (stored,) = pump.stored
    assert stored.subject == "mta.ops.mta1.source_resumed"


def test_a_full_pump_is_no_failure() -> None:
    """Mail does not wait for a notice: it stands in the log."""
    pump = FakePump()
    pump.is_full = True
    with structlog.testing.capture_logs() as logs:
        Operations(pump, "mta1").tell("tls_downgrade", mx_host="mx.test")
    assert [line["event"] for line in logs] == ["tls_downgrade", "operation_untold"]
