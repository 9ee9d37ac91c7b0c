"""`mta preflight`: whether receivers will believe a tenant's mail, by what DNS says of it, before any is sent.

Everything is asked of the configured nameservers; nothing is connected to.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from mta.admin.access import nameservers
from mta.admin.errors import WrongUsage
from mta.admin.exits import EXIT_NO
from mta.admin.grade import Grade
from mta.admin.output import Output
from mta.admin.preflight import domains, policy, senders, signing
from mta.admin.preflight.finding import Check, Finding
from mta.admin.preflight.identity import Identity
from mta.admin.preflight.lookup import Lookup
from mta.admin.preflight.question import Steps
from mta.admin.preflight.show import Examined, as_object, show
from mta.compose.dkim import KeyRefused, load_keys
from mta.config.names import a_label
from mta.config.problems import nearest
from mta.config.settings import Config
from mta.dns.nameservers import Nameservers


async def preflight(config: Config, tenant: str, domain: str, output: Output) -> int:
    """All of the tenant's domains, or the one named. 0: nothing fails; 1: something does."""
    identities = identities_of(config, tenant, domain)
    async with nameservers(config) as servers:
        examined = await examine(identities, servers, output)
    output.result(as_object(tenant, examined))
    if not output.as_json:
        show(tenant, examined, output)
    is_failed = any(finding.result is Grade.FAIL for one in examined for finding in one.findings)
    return EXIT_NO if is_failed else 0


def identities_of(config: Config, tenant: str, domain: str) -> list[Identity]:
    """WrongUsage for a tenant or a domain that is not configured."""
    policy = config.tenants.get(tenant)
    if policy is None:
        raise WrongUsage(f"there is no tenant {tenant} in {config.origin}{nearest(tenant, config.tenants)}")
    wanted = list(policy.domains)
    if domain:
        wanted = [_configured(domain, wanted, tenant)]
    if not wanted:
        raise WrongUsage(f"tenant {tenant} has no domains: every From address would be rejected")
    sources = {
        source.name: source for pool in policy.pools for source, _ in config.pools[pool].sources
    }  # a source may be in several pools
    identities = []
    for name in wanted:
        refusal = ""
        try:
            keys, _ = load_keys(config.keys.dkim.get((tenant, name), ()))
        except KeyRefused as error:
            keys, refusal = (), str(error)
        identities.append(
            Identity(
                domain=name,
                return_path=policy.return_path,
                sources=tuple(sources.values()),
                keys=keys,
                refusal=refusal,
                public_url=config.http.public_url,
                clear_routes=tuple(route for route in config.routes if route.tls == "none"),
            )
        )
    return identities


def _configured(domain: str, known: list[str], tenant: str) -> str:
    try:
        label = a_label(domain)
    except ValueError as error:
        raise WrongUsage(f"{domain} {error}") from error
    if label not in known:
        raise WrongUsage(f"{label} is no domain of tenant {tenant}{nearest(label, known)}")
    return label


async def examine(identities: list[Identity], servers: Nameservers, output: Output) -> list[Examined]:
    """All checks at once; what they ask for twice is asked once."""
    lookup = Lookup(servers)
    now = time.time()
    found: list[list[asyncio.Task[list[Finding]]]] = []
    with _progress(output) as advance:
        async with asyncio.TaskGroup() as group:
            for identity in identities:
                tasks = []
                for steps in checks(identity, now):
                    run = lookup.run(steps, group)
                    tasks.append(group.create_task(run, name=f"preflight: {identity.domain}"))
                    advance(tasks[-1])
                found.append(tasks)
    return [
        Examined(
            identity.domain,
            tuple(sorted((one for task in tasks for one in task.result()), key=_place)),
        )
        for identity, tasks in zip(identities, found, strict=True)
    ]


def checks(identity: Identity, now: float) -> list[Steps[list[Finding]]]:
    """`now` in seconds since the epoch."""
    return [
        senders.spf(identity),
        signing.keys(identity, now),
        policy.dmarc(identity),
        *(senders.names(source) for source in identity.sources),
        domains.return_path(identity),
        domains.author(identity),
        domains.one_click(identity),
        domains.tls(identity),
    ]


def _place(finding: Finding) -> int:
    return list(Check).index(finding.check)


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[asyncio.Task[list[Finding]]], None]]:
    """A bar on a terminal, nothing elsewhere."""
    columns = (TextColumn("asking DNS"), BarColumn(), MofNCompleteColumn())
    hidden = output.as_json or not output.errors.is_terminal
    with Progress(*columns, console=output.errors, transient=True, disable=hidden) as progress:
        bar = progress.add_task("", total=0)
        total = 0

        def advance(task: asyncio.Task[list[Finding]]) -> None:
            nonlocal total
            total += 1
            progress.update(bar, total=total)
            task.add_done_callback(lambda _: progress.advance(bar))

        yield advance
