"""Findings about DKIM: each configured key beside its record (K-11). What is wrong with one, `mta.admin.dkim_record`
knows."""

from mta.admin.dkim_record import Aspect, judge, spoken
from mta.admin.preflight.finding import Check, Finding, failed, passed, unknown, warned
from mta.admin.preflight.identity import Identity
from mta.admin.preflight.question import Question, Steps
from mta.compose.dkim import SigningKey

_CHECKS = {
    Aspect.RECORD: Check.DKIM_RECORD,
    Aspect.KEY: Check.DKIM_KEY,
    Aspect.BITS: Check.DKIM_BITS,
    Aspect.SIGNATURE: Check.DKIM_SIGNATURE,
}


def keys(identity: Identity, now: float) -> Steps[list[Finding]]:
    """`now` in seconds since the epoch."""
    if identity.refusal:
        todo = "configure a key that can sign"
        return [failed(Check.DKIM_KEY, identity.domain, identity.refusal, todo)]
    if not identity.keys:
        said = "no DKIM key is configured: mail goes out unsigned"
        todo = f"make one with `mta dkim gen {identity.domain} SELECTOR`, publish and configure it"
        return [failed(Check.DKIM_KEY, identity.domain, said, todo)]
    found: list[Finding] = []
    for key in identity.keys:
        found += yield from _key(key, now)
    return found


def _key(key: SigningKey, now: float) -> Steps[list[Finding]]:
    """Up to the first aspect that fails: what comes behind would only say the same again."""
    name = key.dns_name
    reply = yield Question(name, "TXT")
    if reply.trouble:
        return [unknown(Check.DKIM_RECORD, name, reply.trouble)]
    publish = f"publish at {name}: {key.dns_record()}"
    flaws = judge(reply.values, key, now)
    found: list[Finding] = []
    for aspect, check in _CHECKS.items():
        own = [flaw for flaw in flaws if flaw.aspect is aspect]
        for flaw in own:
            if flaw.is_fatal:
                todo = f"{flaw.todo}; {publish}" if flaw.todo else publish
                found.append(failed(check, name, flaw.said, todo))
            else:
                found.append(warned(check, name, flaw.said, flaw.todo))
        if any(flaw.is_fatal for flaw in own):
            break
        if not own and (key.bits or aspect is not Aspect.BITS):
            found.append(passed(check, name, _good(aspect, key)))
    return found


def _good(aspect: Aspect, key: SigningKey) -> str:
    match aspect:
        case Aspect.RECORD:
            return "can be used for mail"
        case Aspect.KEY:
            return "holds the key that signs here"
        case Aspect.BITS:
            return spoken("rsa", key.bits)
        case Aspect.SIGNATURE:
            return "a signature made here holds by it"
