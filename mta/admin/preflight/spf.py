"""Whether an address may send for a domain: `check_host` of RFC 7208, as a generator that asks and is answered.

Limits are the RFC's (section 4.6.4): 10 terms that ask, 10 hosts of an `mx`, 2 terms that find nothing. `ptr` is
counted but not evaluated: section 5.5 says not to use it, and several receivers do not heed it; the verdict tells.
Explanations (`exp=`) are not read.
"""

from enum import StrEnum
from ipaddress import IPv6Address, ip_address, ip_network

from msgspec import Struct
from msgspec.structs import replace

from mta.admin.preflight.question import Question, Reply, Steps
from mta.admin.preflight.spf_macro import Sender, expand
from mta.admin.preflight.spf_record import Directive, SpfRecord, is_spf, read_record

MOST_LOOKUPS = 10
_MOST_VOID = 2
_MOST_HOSTS = 10


class SpfResult(StrEnum):
    """Section 2.6."""

    NONE = "none"
    NEUTRAL = "neutral"
    PASS = "pass"
    FAIL = "fail"
    SOFTFAIL = "softfail"
    TEMPERROR = "temperror"
    PERMERROR = "permerror"


_OF_QUALIFIER = {"+": SpfResult.PASS, "-": SpfResult.FAIL, "~": SpfResult.SOFTFAIL, "?": SpfResult.NEUTRAL}


class SpfVerdict(Struct, frozen=True, gc=False):
    """`term` matched (empty: none did), `detail` says where, or what is wrong; `lookups` count against the limit;
    `has_skipped_ptr`: a `ptr` that was passed over might have matched."""

    result: SpfResult
    detail: str = ""
    term: str = ""
    lookups: int = 0
    has_skipped_ptr: bool = False


class _Broken(Exception):
    """Ends the evaluation, however deep: section 5.2 lets errors through."""

    def __init__(self, result: SpfResult, detail: str) -> None:
        super().__init__(detail)
        self.result = result
        self.detail = detail


class _Count:
    """What one evaluation has used up."""

    def __init__(self) -> None:
        self.lookups = 0
        self.void = 0
        self.has_skipped_ptr = False

    def term(self) -> None:
        self.lookups += 1
        if self.lookups > MOST_LOOKUPS:
            raise _Broken(SpfResult.PERMERROR, f"it takes more than {MOST_LOOKUPS} lookups")

    def found(self, reply: Reply, what: str) -> tuple[str, ...]:
        """The values of the reply to the question of a term."""
        if reply.trouble:
            raise _Broken(SpfResult.TEMPERROR, reply.trouble)
        if not reply.values:
            self.void += 1
            if self.void > _MOST_VOID:
                said = f"more than {_MOST_VOID} lookups find nothing, the last one for {what}"
                raise _Broken(SpfResult.PERMERROR, said)
        return reply.values


def evaluate(sender: Sender) -> Steps[SpfVerdict]:
    """Of the domain in MAIL FROM."""
    ip = ip_address(sender.address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        sender = replace(sender, address=str(ip.ipv4_mapped))
    count = _Count()
    try:
        verdict = yield from _check_host(sender, sender.domain, count, ())
    except _Broken as broken:
        verdict = SpfVerdict(broken.result, broken.detail)
    return replace(verdict, lookups=count.lookups, has_skipped_ptr=count.has_skipped_ptr)


def _check_host(sender: Sender, domain: str, count: _Count, above: tuple[str, ...]) -> Steps[SpfVerdict]:
    """`above` are the domains whose records led here."""
    if domain.lower() in above:
        raise _Broken(SpfResult.PERMERROR, f"the record of {domain} leads back to itself")
    record = yield from _record(domain)
    if record is None:
        return SpfVerdict(SpfResult.NONE, f"{domain} has no SPF record")
    above = (*above, domain.lower())
    for directive in record.directives:
        if (yield from _matches(directive, sender, domain, count, above)):
            return SpfVerdict(_OF_QUALIFIER[directive.qualifier], f"in {domain}", directive.text)
    if record.redirect:
        count.term()
        target = expand(record.redirect, sender, domain)
        verdict = yield from _check_host(sender, target, count, above)
        if verdict.result is SpfResult.NONE:
            raise _Broken(SpfResult.PERMERROR, f"redirect={record.redirect} in {domain}: {verdict.detail}")
        return verdict
    return SpfVerdict(SpfResult.NEUTRAL, f"no term of {domain} matches")


def _record(domain: str) -> Steps[SpfRecord | None]:
    reply = yield Question(domain, "TXT")
    if reply.trouble:
        raise _Broken(SpfResult.TEMPERROR, reply.trouble)
    texts = [text for text in reply.values if is_spf(text)]
    if not texts:
        return None
    if len(texts) > 1:
        raise _Broken(SpfResult.PERMERROR, f"{domain} has {len(texts)} SPF records")
    record = read_record(texts[0])
    if isinstance(record, str):
        raise _Broken(SpfResult.PERMERROR, f"the record of {domain}: {record}")
    return record


def _matches(
    directive: Directive, sender: Sender, domain: str, count: _Count, above: tuple[str, ...]
) -> Steps[bool]:
    if directive.name == "all":
        return True
    if directive.name in ("ip4", "ip6"):
        return _is_within(directive, sender, directive.value)
    count.term()
    target = expand(directive.value, sender, domain) if directive.value else domain
    match directive.name:
        case "include":
            verdict = yield from _check_host(sender, target, count, above)
            if verdict.result is SpfResult.NONE:
                raise _Broken(SpfResult.PERMERROR, f"{directive.text} in {domain}: {verdict.detail}")
            return verdict.result is SpfResult.PASS
        case "a":
            addresses = count.found((yield _addresses(target, sender)), target)
            return any(_is_within(directive, sender, address) for address in addresses)
        case "mx":
            return (yield from _matches_mx(directive, sender, target, count))
        case "exists":
            return bool(count.found((yield Question(target, "A")), target))
        case _:
            count.has_skipped_ptr = True
            return False


def _matches_mx(directive: Directive, sender: Sender, target: str, count: _Count) -> Steps[bool]:
    hosts = count.found((yield Question(target, "MX")), target)
    if len(hosts) > _MOST_HOSTS:
        raise _Broken(SpfResult.PERMERROR, f"{target} has more than {_MOST_HOSTS} MX hosts")
    for host in filter(None, hosts):
        reply = yield _addresses(host, sender)
        if reply.trouble:
            raise _Broken(SpfResult.TEMPERROR, reply.trouble)
        if any(_is_within(directive, sender, address) for address in reply.values):
            return True
    return False


def _addresses(name: str, sender: Sender) -> Question:
    return Question(name, "AAAA" if ":" in sender.address else "A")


def _is_within(directive: Directive, sender: Sender, address: str) -> bool:
    prefix = directive.prefix_v6 if ":" in address else directive.prefix_v4
    return ip_address(sender.address) in ip_network(f"{address}/{prefix}", strict=False)
