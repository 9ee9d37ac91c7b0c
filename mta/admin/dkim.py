"""`mta dkim show` and `mta dkim check`: the configured keys, and what DNS says of them.

Public halves only: what is shown comes out of the private key, never the key. Asks the nameservers of `[dns]`, a
question for each key, and sends nothing.
"""

import asyncio
import time
from collections.abc import Sequence

from msgspec import Struct

from mta.admin.access import again, nameservers
from mta.admin.dkim_record import judge, spoken, zone_line
from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.exits import EXIT_NO
from mta.admin.grade import Grade, Line, tell
from mta.admin.output import Output
from mta.compose.dkim import SigningKey, load_key
from mta.config.names import a_label
from mta.config.settings import Config
from mta.dns.record import DnsTrouble
from mta.dns.text import texts

_MOST_QUESTIONS = 50  # at once


class Configured(Struct, frozen=True):
    """A key that signs, and for whom: tenants may share a domain."""

    key: SigningKey
    tenants: tuple[str, ...]
    file: str


def keys_of(config: Config, domain: str = "", tenant: str = "") -> list[Configured]:
    """In the order of the configuration; WrongInput where there are none."""
    try:
        wanted = a_label(domain) if domain else ""
    except ValueError as error:
        raise WrongUsage(f"{domain[:80]!r} {error}") from error
    if tenant and tenant not in config.tenants:
        raise WrongInput(
            f"there is no tenant {tenant[:80]} (there are: {', '.join(config.tenants) or 'none'})"
        )
    found: dict[tuple[str, str], Configured] = {}
    for (name, signed), keys in config.keys.dkim.items():
        if (tenant and name != tenant) or (wanted and signed != wanted):
            continue
        for key in keys:
            known = found.get((key.domain, key.selector))
            if known is None:
                known = Configured(load_key(key)[0], (), key.file)
            found[key.domain, key.selector] = Configured(known.key, (*known.tenants, name), known.file)
    if not found:
        of = f" of {wanted}" if wanted else ""
        raise WrongInput(
            f"no key{of} is configured: make one with `mta dkim gen DOMAIN SELECTOR{again(config)}`"
        )
    return list(found.values())


def show(keys: Sequence[Configured], output: Output) -> int:
    for one in keys:
        key, record = one.key, one.key.dns_record()
        kind = "rsa" if key.bits else "ed25519"
        zone = zone_line(key.dns_name, record)
        output.result(
            {
                **{"tenants": one.tenants, "domain": key.domain, "selector": key.selector, "kind": kind},
                **{"bits": key.bits, "file": one.file, "name": key.dns_name, "record": record, "zone": zone},
            }
        )
        output.say(f"{key.domain} {key.selector}: {spoken(kind, key.bits)}, {one.file}", "bold")
        output.say(f"signs for {', '.join(one.tenants)}")
        output.say(zone)
        output.say("")
    return 0


async def check(config: Config, keys: Sequence[Configured], output: Output) -> int:
    """0: all well, warnings allowed; 1: receivers cannot verify, or DNS did not say."""
    places = asyncio.Semaphore(_MOST_QUESTIONS)
    async with nameservers(config) as servers:

        async def looked(one: Configured) -> list[Line]:
            async with places:
                found = await texts(servers, one.key.dns_name)
            return _lines(one, found, again(config))

        answers = await asyncio.gather(*(looked(one) for one in keys))
    lines = [line for answer in answers for line in answer]
    tell(lines, output)
    return EXIT_NO if any(line.grade in (Grade.FAIL, Grade.UNKNOWN) for line in lines) else 0


def _lines(one: Configured, found: tuple[str, ...] | DnsTrouble, option: str) -> list[Line]:
    key = one.key
    if isinstance(found, DnsTrouble):
        return [Line(Grade.UNKNOWN, key.dns_name, f"DNS did not say ({found.detail}): try again")]
    flaws = judge(found, key, time.time())
    if not flaws:
        kind = spoken("rsa" if key.bits else "ed25519", key.bits)
        return [Line(Grade.PASS, key.dns_name, f"{kind}: published, and a signature holds by it")]
    todo = f". What to publish: mta dkim show {key.domain}{option}"
    return [
        Line(Grade.FAIL, key.dns_name, flaw.text + todo)
        if flaw.is_fatal
        else Line(Grade.WARN, key.dns_name, flaw.text)
        for flaw in flaws
    ]
