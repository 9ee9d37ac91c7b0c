import pytest

from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.exits import config_option, meaning
from mta.config.problems import ConfigError, Problem
from mta.inbound.errors import CannotListen
from mta.jetstream import errors
from mta.ledger.arena import LedgerInUse


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError([Problem("f", "p", "t")]), 78),
        (WrongUsage("x"), 64),
        (MissingInput("x"), 66),
        (WrongInput("x"), 1),
        (errors.JetStreamUnavailable("x"), 69),
        (errors.Unconfirmed("x"), 69),
        (errors.Unreachable("x"), 69),
        (errors.NobodyThere("x"), 69),
        (errors.WithoutJetStream("x"), 69),
        (errors.StateDirectoryInUse("x"), 69),
        (LedgerInUse("x"), 69),
        (errors.EmbeddedServerFailed("x"), 69),
        (errors.ServerTooOld("x"), 69),
        (errors.NotFound("x"), 69),
        (CannotListen("x"), 69),
        (errors.StreamFull("x"), 75),
        (errors.PermissionMissing("x"), 77),
        (errors.ExtraMissing("x"), 78),
        (errors.Refused("x"), 70),
        (ZeroDivisionError("x"), 70),
    ],
)
def test_every_error_has_its_exit_code(error: Exception, code: int) -> None:
    """Those of systemd's RestartPreventExitStatus are 64, 77 and 78 only."""
    assert meaning(error)[0] == code


def test_advice_fits_the_error() -> None:
    """Whether the server runs is asked only where nobody took the connection; the configuration is named again."""
    hints = {
        errors.Unreachable: "Is the NATS server running, and is this its address?",
        errors.WithoutJetStream: "",
        errors.Unconfirmed: "",
        errors.JetStreamUnavailable: "",
        errors.NobodyThere: "Create the streams with: mta setup --config m.toml",
        errors.NotFound: "Create the streams with: mta setup --config m.toml",
    }
    assert {kind: meaning(kind("x"), " --config m.toml")[1] for kind in hints} == hints


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["mta", "run"], ""),
        (["mta", "run", "--config", "my m.toml"], " --config 'my m.toml'"),
        (["mta", "run", "--config=m.toml"], " --config=m.toml"),
        (["mta", "run", "--config"], ""),
    ],
)
def test_the_option_is_repeated_as_it_was_given(arguments: list[str], said: str) -> None:
    """To be pasted."""
    assert config_option(arguments) == said
