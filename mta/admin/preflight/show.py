"""What preflight shows: for each domain its findings, the providers' requirements, and what is left to watch."""

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from msgspec import Struct, to_builtins

from mta.admin.grade import count, graded
from mta.admin.output import Output, Table, cell, many
from mta.admin.preflight.finding import Check, Finding
from mta.admin.preflight.providers import REQUIREMENTS, SPOKEN, WATCH, standing

_NOT_REQUIRED = "-"
_GROUPS = (
    (Check.SPF_RECORD, Check.SPF_SOURCE),
    (Check.DKIM_RECORD, Check.DKIM_KEY, Check.DKIM_BITS, Check.DKIM_SIGNATURE),
    (Check.DMARC_POLICY, Check.DMARC_REPORTS, Check.DMARC_TAGS, Check.DKIM_ALIGNMENT, Check.SPF_ALIGNMENT),
    (Check.PTR, Check.PTR_NAME, Check.EHLO),
    (Check.RETURN_PATH_MX, Check.RETURN_PATH_SOA, Check.FROM_MX, Check.FROM_SOA),
    (Check.ONE_CLICK, Check.TLS, Check.MTA_STS, Check.TLS_REPORTS),
)
_GROUP_OF = {check: at for at, checks in enumerate(_GROUPS) for check in checks}


class Examined(Struct, frozen=True):
    """One From domain and what was found, in the order of `Check`."""

    domain: str
    findings: tuple[Finding, ...]


def as_object(tenant: str, examined: Sequence[Examined]) -> dict[str, Any]:
    """For `--json`."""
    return {
        "tenant": tenant,
        "domains": [
            {
                "domain": one.domain,
                "checks": [to_builtins(finding) for finding in one.findings],
                "providers": {
                    provider: {"requirements": table, "watch": WATCH[provider]}
                    for provider, table in standing(one.findings).items()
                },
            }
            for one in examined
        ],
    }


def show(tenant: str, examined: Sequence[Examined], output: Output) -> None:
    for one in examined:
        output.say(f"{one.domain} of tenant {tenant}", "bold underline")
        output.say("")
        _show_findings(one, output)
        _show_providers(one, output)
    _show_watch(output)
    grades = [finding.result for one in examined for finding in one.findings]
    count(grades, output, f"{many(len(examined), 'domain')}: ")


def _show_findings(examined: Examined, output: Output) -> None:
    """One table, so that its columns stand below each other, with a space between SPF, DKIM, DMARC and so on."""
    shown = Table("", "check", "found")
    for at, findings in groupby(examined.findings, key=lambda finding: _GROUP_OF[finding.check]):
        if at:
            shown.add_row(cell(""), cell(""), cell(""))
        for finding in findings:
            found = f"{finding.subject}: {finding.detail}"
            shown.add_row(graded(finding.result), cell(finding.check), cell(found))
            if finding.todo:
                shown.add_row(cell(""), cell(""), cell(f"→ {finding.todo}", "cyan"))
    output.show(shown)
    output.say("")


def _show_providers(examined: Examined, output: Output) -> None:
    tables = standing(examined.findings)
    shown = Table("What they require", *SPOKEN.values())
    for requirement in REQUIREMENTS:
        cells = [
            graded(result)
            if (result := tables[provider].get(requirement.name)) is not None
            else cell(_NOT_REQUIRED, "dim")
            for provider in SPOKEN
        ]
        shown.add_row(cell(requirement.spoken), *cells)
    output.show(shown)
    output.say("")


def _show_watch(output: Output) -> None:
    shown = Table("Yours to watch", "")
    for provider, watched in WATCH.items():
        for at, text in enumerate(watched):
            shown.add_row(cell("" if at else SPOKEN[provider]), cell(text))
    output.show(shown)
    output.say("")
