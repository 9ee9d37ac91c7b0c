"""The part of `mta.pacing.fleet` that needs no server."""

from mta.pacing.fleet import broker_in


def test_who_is_broker_is_read_from_its_office() -> None:
    """What cannot be read names nobody."""
    assert broker_in(b'{"node":"n1"}') == "n1"
    assert broker_in(b"") == broker_in(b"[]") == broker_in(b'{"node":1}') == ""
