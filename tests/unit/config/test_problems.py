import pytest

from mta.config.problems import ConfigError, Findings, Problem, nearest


def test_a_problem_reads_file_path_text() -> None:
    """What is not known is left out."""
    assert str(Problem("a.toml", "nats.port", "is odd")) == "a.toml: nats.port: is odd"
    assert str(Problem("a.toml", "", "is no TOML")) == "a.toml: is no TOML"


def test_an_error_shows_every_problem() -> None:
    """One run shows them all."""
    found = Findings("a.toml")
    found.wrong("x", "one")
    found.wrong("y", "two")
    with pytest.raises(ConfigError, match=r"a\.toml: x: one\na\.toml: y: two"):
        found.raise_if_wrong()


def test_what_is_only_odd_is_no_error() -> None:
    """Warnings do not stop a start."""
    found = Findings("a.toml")
    found.odd("x", "strange")
    found.raise_if_wrong()
    assert [str(warning) for warning in found.warnings] == ["a.toml: x: strange"]


def test_findings_can_be_joined() -> None:
    """Two files make one report."""
    found, other = Findings("a.toml"), Findings("b.toml")
    other.wrong("x", "one")
    other.odd("y", "two")
    found.take(other)
    assert (found.problems, found.warnings) == (other.problems, other.warnings)


def test_a_typing_error_is_answered_with_what_was_meant() -> None:
    """The nearest known word, else all of them."""
    assert nearest("ack_wiat", ["ack_wait", "renew"]) == '; did you mean "ack_wait"?'
    assert nearest("zzz", ["b", "a"]) == "; known here: a, b"
    assert nearest("zzz", []) == "; nothing is known here"
