"""Findings about DMARC: the policy for mail From: the domain, and what of our mail is aligned with it (K-08, D-01)."""

from mta.admin.preflight.dmarc import DmarcRecord, Policy, Walk, applicable, is_aligned, organizational, walk
from mta.admin.preflight.finding import Check, Finding, failed, passed, shown, unknown, warned
from mta.admin.preflight.identity import Identity
from mta.admin.preflight.question import Steps

_DEFAULT = DmarcRecord(None)
_ENOUGH = "p=none is enough to begin with"


def dmarc(identity: Identity) -> Steps[list[Finding]]:
    walked = yield from walk(identity.domain)
    applies = applicable(walked)
    if applies is not None:
        name, record, policy = applies
        return [*_record(walked, name, record, policy), *(yield from _alignment(identity, record))]
    if walked.trouble:
        checks = (Check.DMARC_POLICY, Check.DKIM_ALIGNMENT, Check.SPF_ALIGNMENT)
        return [unknown(check, f"_dmarc.{walked.start}", walked.trouble) for check in checks]
    return [_no_policy(walked), *(yield from _alignment(identity, _DEFAULT))]


def _no_policy(walked: Walk) -> Finding:
    subject = f"_dmarc.{walked.start}"
    if walked.doubled:
        return failed(Check.DMARC_POLICY, subject, _doubled(walked), "leave one")
    said = "no DMARC record, nor above it"
    todo = f'publish a TXT record there, as "v=DMARC1; p=none; rua=mailto:dmarc@{walked.start}"; {_ENOUGH}'
    return failed(Check.DMARC_POLICY, subject, said, todo)


def _record(walked: Walk, name: str, record: DmarcRecord, policy: Policy | None) -> list[Finding]:
    subject = f"_dmarc.{name}"
    if policy is None:
        said = "has no p= that can be read, which makes it no policy"
        found = [failed(Check.DMARC_POLICY, subject, said, f"set p=; {_ENOUGH}")]
    else:
        said = f"{policy}{_of_subdomain(walked, name, record)}"
        said += "" if walked.trouble else f", organizational domain {organizational(walked)}"
        said += ", DKIM and SPF " + (
            record.dkim if record.dkim == record.spf else f"{record.dkim} and {record.spf}"
        )
        said += ", t=y: only a test" if record.is_testing else ""
        found = [_judged(walked, subject, said, record)]
    if record.reports:
        found.append(passed(Check.DMARC_REPORTS, subject, shown(f"rua={', '.join(record.reports)}")))
    else:
        said = "no rua=: nobody tells you who sends in your name, and what of yours fails"
        found.append(warned(Check.DMARC_REPORTS, subject, said, f"add rua=mailto:dmarc@{name}"))
    if record.obsolete:
        said = f"{', '.join(f'{tag}=' for tag in record.obsolete)}: no longer heeded since RFC 9989"
        found.append(warned(Check.DMARC_TAGS, subject, said, "take it out; instead of pct= there is t=y"))
    return found


def _judged(walked: Walk, subject: str, said: str, record: DmarcRecord) -> Finding:
    faults = [*([_doubled(walked)] if walked.doubled else []), *record.faults[:3]]
    if faults:
        return warned(Check.DMARC_POLICY, subject, f"{said}; but {'; '.join(faults)}", "correct the record")
    return passed(Check.DMARC_POLICY, subject, said)


def _of_subdomain(walked: Walk, name: str, record: DmarcRecord) -> str:
    if name == walked.start:
        return " by p=" if record.policy else ", as it has no readable p="
    return " by sp=, for subdomains" if record.of_subdomains else " by p=, which holds for subdomains too"


def _alignment(identity: Identity, record: DmarcRecord) -> Steps[list[Finding]]:
    """One of the two is enough for DMARC; without any every message fails it."""
    domain = identity.domain
    by_dkim: bool | str = False
    signing = tuple(dict.fromkeys(key.domain for key in identity.keys))
    for one in signing:
        answer = yield from is_aligned(one, domain, record.dkim)
        by_dkim = answer if answer is True else by_dkim or answer
    by_spf = yield from is_aligned(identity.return_path, domain, record.spf)
    return [
        _aligned(
            Check.DKIM_ALIGNMENT,
            f"d={', '.join(signing)}" if signing else "no signature",
            (by_dkim, by_spf),
            f"{domain} ({record.dkim})",
            f"sign with a key of {domain}",
        ),
        _aligned(
            Check.SPF_ALIGNMENT,
            f"return path {identity.return_path}",
            (by_spf, by_dkim),
            f"{domain} ({record.spf})",
            _nearer(domain, record),
        ),
    ]


def _nearer(domain: str, record: DmarcRecord) -> str:
    if record is _DEFAULT:
        return f"publish a DMARC record at _dmarc.{domain}: it is what tells which names belong together"
    return f"let return_path be {'' if record.spf == 'strict' else 'below '}{domain}"


def _aligned(
    check: Check, subject: str, answers: tuple[bool | str, bool | str], author: str, todo: str
) -> Finding:
    """`answers`: this way to be authenticated, and the other."""
    this, other = answers
    if isinstance(this, str):
        return unknown(check, subject, this)
    if this:
        return passed(check, subject, f"aligned with From: {author}")
    if other is True:
        said = (
            f"not aligned with From: {author}; the other way is, which is enough, but Gmail may ask for both"
        )
        return warned(check, subject, said, todo)
    if isinstance(other, str):
        return unknown(check, subject, f"not aligned with From: {author}; the other way: {other}", todo)
    return failed(check, subject, f"not aligned with From: {author}, nor is the other way", todo)


def _doubled(walked: Walk) -> str:
    names = ", ".join(f"_dmarc.{name}" for name in walked.doubled)
    return f"{names} has more than one DMARC record: receivers heed none of them"
