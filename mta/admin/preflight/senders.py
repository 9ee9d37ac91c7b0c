"""Findings about the addresses mail leaves from: SPF for each of them, PTR and forward match, EHLO name (S-03)."""

import re
from ipaddress import IPv4Address, ip_address

from mta.admin.preflight.finding import Check, Finding, failed, passed, shown, unknown, warned
from mta.admin.preflight.identity import Identity, named, unseen
from mta.admin.preflight.question import Question, Steps, addresses_of
from mta.admin.preflight.spf import MOST_LOOKUPS, SpfResult, SpfVerdict, evaluate
from mta.admin.preflight.spf_macro import Sender
from mta.admin.preflight.spf_record import is_spf, read_record
from mta.model.path import EgressSource

_SENDERS_LOCAL = "b"  # return paths are b+<token>: what stands behind it differs for each message
_MOST_NAMES = 5  # of a PTR that are resolved; receivers look at few as well
_ADD_ADDRESS = "give the source an address in [sources]"
_GENERIC = re.compile(
    r"(?:^|[.-])(?:dynamic|dyn|dhcp|dialup|dial|dsl|adsl|vdsl|cable|broadband|pool|pppoe?|unassigned)[0-9]*(?=[.-]|$)"
)


def spf(identity: Identity) -> Steps[list[Finding]]:
    """The record of the return path, and what it says of each source. Without a usable record the sources are not
    asked about: they would all say the same."""
    domain = identity.return_path
    reply = yield Question(domain, "TXT")
    if reply.trouble:
        return [unknown(Check.SPF_RECORD, domain, reply.trouble)]
    texts = [text for text in reply.values if is_spf(text)]
    wanted = f'publish one TXT record there, as "{_suggested(identity)}"'
    if not texts:
        return [failed(Check.SPF_RECORD, domain, "no SPF record", wanted)]
    if len(texts) > 1:
        said = f"{len(texts)} SPF records: receivers heed none of them"
        return [failed(Check.SPF_RECORD, domain, said, "merge them into one")]
    record = read_record(texts[0])
    if isinstance(record, str):
        return [failed(Check.SPF_RECORD, domain, record, "correct the record")]
    if record.allows_everybody():
        said, todo = "+all lets everybody send for you", "end the record in -all or ~all"
        found = [warned(Check.SPF_RECORD, domain, said, todo)]
    elif record.uses("ptr"):
        said = "uses ptr, which RFC 7208 says not to use and some receivers do not heed"
        found = [warned(Check.SPF_RECORD, domain, said, "name the addresses with ip4: and ip6:")]
    else:
        found = [passed(Check.SPF_RECORD, domain, shown(texts[0]))]
    for source in identity.sources:
        found.append((yield from _spf_of(source, domain)))
    return found


def _spf_of(source: EgressSource, domain: str) -> Steps[Finding]:
    subject = named(source)
    if reason := unseen(source):
        return unknown(Check.SPF_SOURCE, subject, reason, _ADD_ADDRESS)
    verdict = yield from evaluate(Sender(source.address, _SENDERS_LOCAL, domain, source.ehlo))
    return _judged(verdict, subject, source.address, domain)


def _judged(verdict: SpfVerdict, subject: str, address: str, domain: str) -> Finding:
    by = f"by {shown(verdict.term)} {verdict.detail}" if verdict.term else verdict.detail
    said = f"{verdict.result} {by} ({verdict.lookups} of {MOST_LOOKUPS} lookups)"
    kind = "ip6" if ":" in address else "ip4"
    match verdict.result:
        case SpfResult.PASS if verdict.term.lstrip("+").lower() == "all":
            return warned(Check.SPF_SOURCE, subject, said, f"name it: {kind}:{address}")
        case SpfResult.PASS:
            return passed(Check.SPF_SOURCE, subject, said)
        case SpfResult.TEMPERROR:
            return unknown(Check.SPF_SOURCE, subject, said)
        case SpfResult.PERMERROR | SpfResult.NONE:
            todo = f"correct the record of {domain} or what it includes"
            return failed(Check.SPF_SOURCE, subject, f"{verdict.result}: {verdict.detail}", todo)
        case _ if verdict.has_skipped_ptr:
            said += ", unless a ptr matches, which is not evaluated here"
            return unknown(Check.SPF_SOURCE, subject, said, f"name it: {kind}:{address}")
        case _:
            todo = f"add {kind}:{address} to the record of {domain}, before its all or redirect"
            return failed(Check.SPF_SOURCE, subject, said, todo)


def names(source: EgressSource) -> Steps[list[Finding]]:
    """PTR, what its name leads back to, and the name in EHLO."""
    subject = named(source)
    if reason := unseen(source):
        checks = (Check.PTR, Check.EHLO) if source.address else (Check.PTR,)
        found = [unknown(check, subject, reason, _ADD_ADDRESS) for check in checks]
        return found if source.address else [*found, (yield from _ehlo(source))]
    found = yield from _ptr(source)
    return [*found, (yield from _ehlo(source))]


def _ptr(source: EgressSource) -> Steps[list[Finding]]:
    subject = named(source)
    reply = yield Question(ip_address(source.address).reverse_pointer, "PTR")
    if reply.trouble:
        return [unknown(Check.PTR, subject, reply.trouble)]
    if not reply.values:
        todo = f"let whoever gave you the address set its PTR to {source.ehlo}"
        return [failed(Check.PTR, subject, "has no PTR record", todo)]
    trouble = ""
    for name in reply.values[:_MOST_NAMES]:
        back = yield from addresses_of(name)
        if _holds(back.values, source.address):
            return [passed(Check.PTR, subject, f"{shown(name)} and back"), _plain(source, name)]
        trouble = trouble or back.trouble
    if trouble:
        return [unknown(Check.PTR, subject, trouble)]
    kind = "AAAA" if ":" in source.address else "A"
    name = shown(reply.values[0])
    said = f"its PTR {name} does not lead back to the address"
    return [
        failed(Check.PTR, subject, said, f"give {name} the {kind} {source.address}, or correct the PTR"),
        _plain(source, reply.values[0]),
    ]


def _plain(source: EgressSource, name: str) -> Finding:
    if looks_generic(name, source.address):
        said = f"{shown(name)} looks like a line of an access provider"
        todo = f"let the PTR name the mail server, as {source.ehlo}"
        return warned(Check.PTR_NAME, named(source), said, todo)
    return passed(Check.PTR_NAME, named(source), f"{shown(name)} is a name of its own")


def _ehlo(source: EgressSource) -> Steps[Finding]:
    subject = source.ehlo
    todo = "correct ehlo in [sources]: a name with an address record that is the source's"
    if "." not in source.ehlo:
        return failed(Check.EHLO, subject, "is no fully qualified domain name", todo)
    reply = yield from addresses_of(source.ehlo)
    if reply.trouble:
        return unknown(Check.EHLO, subject, reply.trouble)
    if not reply.values:
        return failed(Check.EHLO, subject, "has no address", todo)
    if not source.address:
        said = f"leads to {reply.values[0]}; which address the kernel chooses cannot be checked"
        return unknown(Check.EHLO, subject, said, _ADD_ADDRESS)
    if not _holds(reply.values, source.address):
        said = f"leads to {', '.join(reply.values[:2])} and not to {source.address}"
        return failed(Check.EHLO, subject, said, todo)
    return passed(Check.EHLO, subject, f"leads to {source.address}")


def looks_generic(name: str, address: str) -> bool:
    """Whether a PTR reads like one of many: it spells the address, or says how the line is connected."""
    name = name.lower()
    ip = ip_address(address)
    if _GENERIC.search(".".join(name.split(".")[:-2])):
        return True
    if isinstance(ip, IPv4Address):
        octets = [str(octet) for octet in ip.packed]
        numbers = [str(int(number)) for number in re.findall(r"[0-9]{1,3}", name)]
        is_spelt = all(octet in numbers and numbers.count(octet) >= octets.count(octet) for octet in octets)
        return is_spelt or ip.packed.hex() in name
    return ip.exploded.replace(":", "")[-12:] in re.sub("[.:-]", "", name)


def _holds(values: tuple[str, ...], address: str) -> bool:
    return ip_address(address) in map(ip_address, values)


def _suggested(identity: Identity) -> str:
    known = [source.address for source in identity.sources if not unseen(source)]
    return " ".join(
        [
            "v=spf1",
            *(f"{'ip6' if ':' in address else 'ip4'}:{address}" for address in known or ["<address>"]),
            "-all",
        ]
    )
