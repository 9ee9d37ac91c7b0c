"""Exit codes (sysexits) of everything that can go wrong, and what to do about it.

0 done, 1 the answer is no, 64 usage, 66 missing input, 69 NATS unavailable, 70 internal, 75 stream full, 77 a right is
missing, 78 configuration, 130 interrupted. The unit does not start again after 64, 77 and 78.
"""

import shlex
from collections.abc import Sequence

EXIT_NO = 1
EXIT_USAGE = 64
EXIT_INPUT = 66
EXIT_UNAVAILABLE = 69
EXIT_INTERNAL = 70
EXIT_FULL = 75
EXIT_RIGHT = 77
EXIT_CONFIG = 78
EXIT_INTERRUPTED = 130


def meaning(error: Exception, config: str = "") -> tuple[int, str]:
    """Exit code, and what to do next. `config` is the option as it was given, to be given again."""
    from mta.admin.errors import MissingInput, WrongInput, WrongUsage
    from mta.config.problems import ConfigError
    from mta.inbound.errors import CannotListen
    from mta.jetstream import errors as nats
    from mta.ledger.arena import LedgerInUse

    match error:
        case ConfigError():
            return EXIT_CONFIG, f"Correct it and look again with: mta check{config}"
        case WrongUsage():
            return EXIT_USAGE, ""
        case MissingInput():
            return EXIT_INPUT, ""
        case WrongInput():
            return EXIT_NO, ""
        case nats.ExtraMissing():
            return EXIT_CONFIG, "Or set nats.embedded = false and name your servers in nats.servers"
        case nats.StreamFull():
            return (
                EXIT_FULL,
                "What was acknowledged is safe. Free disk space or let the daemons work, then try again",
            )
        case nats.PermissionMissing():
            return EXIT_RIGHT, "Look at nats.credentials and at this user's permissions on the server"
        case nats.Unreachable():
            return EXIT_UNAVAILABLE, "Is the NATS server running, and is this its address?"
        case nats.NotFound() | nats.NobodyThere():
            return EXIT_UNAVAILABLE, f"Create the streams with: mta setup{config}"
        case (
            nats.JetStreamUnavailable()
            | nats.ServerTooOld()
            | nats.EmbeddedServerFailed()
            | nats.StateDirectoryInUse()
            | LedgerInUse()
        ):
            return EXIT_UNAVAILABLE, ""
        case CannotListen():
            return EXIT_UNAVAILABLE, "Is something else listening there? The address is http.listen"
        case _:
            return EXIT_INTERNAL, f"{type(error).__name__}; MTA_DEBUG=1 shows where"


def config_option(arguments: Sequence[str]) -> str:
    """` --config FILE`, as the next command has to have it."""
    for option, value in zip(arguments, [*arguments[1:], ""], strict=True):
        if option == "--config" and value:
            return f" --config {shlex.quote(value)}"
        if option.startswith("--config="):
            return f" {shlex.quote(option)}"
    return ""
