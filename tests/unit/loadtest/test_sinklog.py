from loadtest.sinklog import Acceptance, parse, render


def test_round_trip() -> None:
    """What is written is read again, recipient last whatever it contains."""
    log = render(123_456_789, 3, 4096, b"a@d.test") + render(123_456_790, 4, 10, b'"b c"@d.test')
    assert list(parse(log)) == [
        Acceptance(123_456_789, 3, 4096, "a@d.test"),
        Acceptance(123_456_790, 4, 10, '"b c"@d.test'),
    ]


def test_cut_off_line_is_no_acceptance() -> None:
    """A sink that died while writing had not answered yet."""
    log = render(1, 1, 10, b"a@d.test") + render(2, 1, 10, b"b@d.test")[:-3]
    assert [acceptance.recipient for acceptance in parse(log)] == ["a@d.test"]


def test_empty() -> None:
    """No log, no acceptance."""
    assert list(parse(b"")) == []
