"""`python -m loadtest <scenario>`: measures the daemon as it is shipped, with everything on this machine.

Without `--json` a table for people; with it one JSON object as the last line of standard output. Progress
goes to standard error. Exit code 0 only if nothing was lost, doubled or told wrong.
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Coroutine, Iterator
from typing import Any

import msgspec
from msgspec import Struct, structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from loadtest import (
    backlog,
    crash,
    deadslow,
    domains,
    fleet,
    lanes,
    limits,
    pacing,
    retries,
    soak,
    tenants,
    throughput,
)
from loadtest.rig import RunFailed
from loadtest.setting import Setting
from loadtest.zone import Zone

_CONNECTIONS = {"backlog": 10, "limits": 2}
_PATTERN_HELP = "auto, A, B, C, CB, or E<transactions in flight>"


def main(arguments: list[str] | None = None) -> int:
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["pacing"]:  # without a daemon, and so without what the others are told
        return pacing.main(arguments[1:])
    options = parser().parse_args(arguments)
    errors = Console(stderr=True)
    try:
        with _bar(errors) as progress:
            result = asyncio.run(_stoppable(_scenario(options, progress)))
    except RunFailed as error:
        errors.print(f"[bold red]failed:[/] {error}", highlight=False)
        errors.print(error.logs, markup=False, highlight=False)
        return 70
    except (KeyboardInterrupt, asyncio.CancelledError):
        errors.print("stopped; what it started has ended")
        return 130
    if options.json:
        print(msgspec.json.encode(result).decode(), flush=True)
    else:
        Console().print(_table(options.scenario, result))
    return 1 if result.faults else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m loadtest", description=__doc__)
    scenarios = top.add_subparsers(dest="scenario", required=True)
    one = scenarios.add_parser("throughput", help="how fast a mailing goes out, and what it costs")
    one.add_argument("--messages", type=_positive, default=20_000)
    one.add_argument("--size", type=_positive, default=4096, metavar="BYTES", help="of a message on the wire")
    other = scenarios.add_parser("lanes", help="how long a transactional message takes beside bulk")
    other.add_argument("--probes", type=_positive, default=250)
    other.add_argument("--probes-per-s", type=float, default=25.0)
    death = scenarios.add_parser("crash", help="what a kill -9 under full load costs, round by round")
    death.add_argument("--kill", choices=crash.KILLS, required=True)
    death.add_argument("--rounds", type=_positive, default=20)
    death.add_argument("--messages", type=_positive, default=10_000, help="of each round")
    death.add_argument("--down-s", type=float, default=0.0, metavar="S", help="how long it stays dead")
    death.add_argument(
        "--daemons", type=_positive, default=1, help="of more than one, the killed one stays dead"
    )
    death.add_argument("--ack-wait-s", type=_positive, default=30, metavar="S", help="of a message in work")
    death.add_argument("--seed", type=int, default=0, help="of the moments; 0 is another one each time")
    many = scenarios.add_parser("backlog", help="what a great many recipients of a dead destination cost")
    many.add_argument("--dead-recipients", type=_positive, default=1_000_000, metavar="N")
    many.add_argument("--healthy-messages", type=_positive, default=20_000, metavar="M", help="of each round")
    again = scenarios.add_parser("retries", help="a great many that wait for their second attempt")
    again.add_argument("--recipients", type=_positive, default=200_000, metavar="N")
    long = scenarios.add_parser("soak", help="mixed faults in both lanes for a long time")
    long.add_argument("--minutes", type=float, default=30.0, metavar="M")
    long.add_argument("--per-s", type=_positive, default=100, metavar="N", help="bulk messages")
    long.add_argument("--kill", choices=soak.KILLS, action="append", default=[], help="now and then")
    long.add_argument("--seed", type=int, default=0, help="of the mixture; 0 is another one each time")
    slow = scenarios.add_parser("deadslow", help="a destination of two seconds a message beside healthy ones")
    slow.add_argument("--seconds", type=float, default=20.0, metavar="S", help="without it, and beside it")
    wide = scenarios.add_parser("domains", help="a message to each of a great many domains; needs port 25")
    wide.add_argument("--domains", type=_positive, default=100_000, metavar="N")
    wide.add_argument("--seconds", type=float, default=60.0, metavar="S", help="in which they are published")
    wide.add_argument("--own-percent", type=int, default=20, metavar="P", help="that have hosts of their own")
    wide.add_argument("--hosts", type=_positive, default=300, metavar="N", help="that the others share")
    wide.add_argument("--resolve-only", action="store_true", help="the resolver alone, no mail")
    wide.add_argument("--restart", action="store_true", help="of the daemon, half way")
    several = scenarios.add_parser("fleet", help="daemons that share one limit, and the death of one")
    several.add_argument("--daemons", type=_positive, default=2, metavar="N")
    several.add_argument("--limit", type=_positive, default=100, metavar="PER_S", help="messages to the site")
    several.add_argument("--seconds", type=float, default=30.0, metavar="S", help="with all of them alive")
    held = scenarios.add_parser("limits", help="a limit, while daemons are stopped, killed and started again")
    held.add_argument("--limit", type=_positive, default=10, metavar="PER_S", help="messages to the site")
    held.add_argument(
        "--restarts", type=_positive, default=6, metavar="N", help="by SIGTERM and kill -9 in turn"
    )
    held.add_argument(
        "--between-s", type=float, default=3.0, metavar="S", help="two of them; at most twice that"
    )
    held.add_argument(
        "--daemons", type=_positive, default=1, metavar="N", help="of which the last is restarted"
    )
    held.add_argument("--seed", type=int, default=0, help="of the moments; 0 is another one each time")
    fair = scenarios.add_parser("tenants", help="one with a hundred messages beside one with a million")
    fair.add_argument("--bulk", type=_positive, default=1_000_000, metavar="N", help="of the large one")
    fair.add_argument(
        "--small", type=_positive, default=100, metavar="N", help="of the small one, each round"
    )
    fair.add_argument("--campaigns", type=_positive, default=1, metavar="N", help="of the large one")
    fair.add_argument("--limit", type=int, default=0, metavar="PER_S", help="of the site; 0: none")
    fair.add_argument("--rounds", type=_positive, default=7, metavar="N", help="alone, and as many beside")
    for scenario in (one, other, death, many, again, long, slow, wide, several, held, fair):
        scenario.add_argument("--json", action="store_true", help="one JSON object as the last line")
        scenario.add_argument("--tls", action="store_true", help="the sink offers STARTTLS")
        scenario.add_argument("--rtt-ms", type=float, default=0.0, metavar="MS", help="made in the sink")
        scenario.add_argument(
            "--connections", type=_positive, default=_CONNECTIONS.get(scenario.prog.split()[-1], 20)
        )
        scenario.add_argument("--pattern", type=_pattern, default="auto", help=_PATTERN_HELP)
        scenario.add_argument("--busy", action="store_true", help="other work goes on here: late is no fault")
    return top


def _scenario(options: argparse.Namespace, progress: throughput.Progress) -> Coroutine[Any, Any, Any]:
    setting = Setting(
        connections=options.connections,
        pattern=options.pattern,
        rtt_ms=options.rtt_ms,
        is_tls=options.tls,
        is_busy=options.busy,
    )
    if options.scenario == "crash":
        setting = structs.replace(
            setting,
            own_nats=True,
            daemons=options.daemons,
            ack_wait_s=options.ack_wait_s,
            schedule=("1s",),
        )
        blow = crash.Blow(options.kill, options.down_s, options.seed)
        return crash.crash(blow, options.rounds, options.messages, setting, progress)
    if options.scenario == "backlog":
        return backlog.backlog(options.dead_recipients, options.healthy_messages, setting, progress)
    if options.scenario == "retries":
        return retries.retries(options.recipients, setting, progress)
    if options.scenario == "soak":
        course = soak.Course(options.minutes, options.per_s, tuple(options.kill), options.seed)
        return soak.soak(course, setting, progress)
    if options.scenario == "deadslow":
        return deadslow.deadslow(options.seconds, setting, progress)
    if options.scenario == "domains":
        setting = structs.replace(
            setting, zone=Zone(options.own_percent, options.hosts), own_nats=options.restart
        )
        run = domains.resolve_only if options.resolve_only else domains.domains
        return run(domains.Course(options.domains, options.seconds, options.restart), setting, progress)
    if options.scenario == "fleet":
        return fleet.fleet(options.daemons, options.limit, options.seconds, setting, progress)
    if options.scenario == "limits":
        held = limits.Course(options.limit, options.restarts, options.between_s, options.seed)
        return limits.limits(held, structs.replace(setting, daemons=options.daemons), progress)
    if options.scenario == "tenants":
        shares = tenants.Course(options.bulk, options.small, options.campaigns, options.limit, options.rounds)
        return tenants.tenants(shares, setting, progress)
    if options.scenario == "lanes":
        return lanes.lanes(options.probes, options.probes_per_s, setting, progress)
    return throughput.throughput(options.messages, options.size, setting, progress)


async def _stoppable(scenario: Coroutine[Any, Any, Any]) -> Any:
    """SIGTERM ends it as Ctrl-C does: everything that was started is stopped."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    return await scenario


@contextlib.contextmanager
def _bar(console: Console) -> Iterator[throughput.Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=None)

        def report(what: str, done: int, of: int) -> None:
            bar.update(task, description=what, completed=done, total=of)

        yield report


def _table(scenario: str, result: Struct) -> Table:
    table = Table(title=scenario, title_justify="left", show_header=False)
    for name, value in _numbered(msgspec.to_builtins(result)).items():
        for key, part in value.items() if isinstance(value, dict) else (("", value),):
            shown = ", ".join(part) or "none" if isinstance(part, list | tuple) else str(part)
            table.add_row(f"{name} {key}".strip(), shown)
    return table


def _numbered(result: dict[str, Any]) -> dict[str, Any]:
    """Rounds as rows of their own."""
    rounds = result.pop("rounds", [])
    return result | {f"round {number}": one for number, one in enumerate(rounds, 1)}


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return number


def _pattern(text: str) -> str:
    is_window = text[:1] == "E" and text[1:].isdigit() and 1 <= int(text[1:]) <= 64
    if text not in ("auto", "A", "B", "C", "CB") and not is_window:
        raise argparse.ArgumentTypeError(f"must be {_PATTERN_HELP}")
    return text


if __name__ == "__main__":
    sys.exit(main())
