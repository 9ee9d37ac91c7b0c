"""What large receivers require of who sends much, and what of it holds: findings by requirement and provider.

The table is theirs as of 2026: support.google.com answers 81126 and 14229414, senders.yahooinc.com, the Outlook.com
postmaster pages, support.apple.com/102322. What DNS does not show is listed for a person to watch.
"""

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from mta.admin.grade import Grade, severity
from mta.admin.preflight.finding import Check, Finding


class Provider(StrEnum):
    GMAIL = "gmail"
    YAHOO = "yahoo"
    OUTLOOK = "outlook"
    ICLOUD = "icloud"


SPOKEN = {
    Provider.GMAIL: "Gmail",
    Provider.YAHOO: "Yahoo",
    Provider.OUTLOOK: "Outlook.com",
    Provider.ICLOUD: "iCloud",
}
_ALL = frozenset(Provider)
_GMAIL_YAHOO = frozenset((Provider.GMAIL, Provider.YAHOO))


class Requirement(Struct, frozen=True):
    """`who` wants it. It holds as far as all of `checks` do; for `one_is_enough` as far as the best of them does."""

    name: str
    spoken: str
    checks: tuple[Check, ...]
    who: frozenset[Provider]
    one_is_enough: frozenset[Provider] = frozenset()


REQUIREMENTS = (
    Requirement("spf", "SPF", (Check.SPF_RECORD, Check.SPF_SOURCE), _ALL),
    Requirement("dkim", "DKIM", (Check.DKIM_RECORD, Check.DKIM_KEY, Check.DKIM_SIGNATURE), _ALL),
    Requirement("dkim_bits", "DKIM key size", (Check.DKIM_BITS,), _GMAIL_YAHOO),
    Requirement("dmarc", "DMARC policy", (Check.DMARC_POLICY,), _ALL),
    Requirement(
        "alignment",
        "From is aligned",
        (Check.DKIM_ALIGNMENT, Check.SPF_ALIGNMENT),
        _ALL,
        one_is_enough=frozenset((Provider.YAHOO, Provider.ICLOUD)),
    ),
    Requirement("tls", "TLS", (Check.TLS,), _GMAIL_YAHOO),
    Requirement("ptr", "PTR and back", (Check.PTR,), _ALL),
    Requirement("ptr_name", "PTR is not generic", (Check.PTR_NAME,), frozenset((Provider.YAHOO,))),
    Requirement("one_click", "one-click", (Check.ONE_CLICK,), _GMAIL_YAHOO),
    Requirement("soa", "SOA", (Check.RETURN_PATH_SOA, Check.FROM_SOA), frozenset((Provider.YAHOO,))),
)

WATCH = {
    Provider.GMAIL: (
        "spam rate below 0.10 %, never 0.30 % or more (daily, in Postmaster Tools)",
        "who unsubscribes gets nothing more after 48 hours; marketing mail has both one-click headers",
        "about 5,000 messages a day from one organizational domain make it a bulk sender, for good",
    ),
    Provider.YAHOO: (
        "spam rate below 0.3 % of the mail that reached the inbox",
        "who unsubscribes gets nothing more after 2 days",
    ),
    Provider.OUTLOOK: (
        "its rules hold from more than 5,000 messages a day on",
        "a visible unsubscribe link; at most 500 connections; nothing more to an address after a 5xx",
    ),
    Provider.ICLOUD: (
        "who unsubscribes gets nothing more at once; a visible link for it",
        "only to people who asked for it; different kinds of mail from different addresses",
    ),
}
"""What no check sees."""


def standing(findings: Iterable[Finding]) -> dict[Provider, dict[str, Grade]]:
    """By provider and name of the requirement. UNKNOWN is also what nothing was found about, as the size of a key that
    is not published."""
    by_check: dict[Check, list[Grade]] = {}
    for finding in findings:
        by_check.setdefault(finding.check, []).append(finding.result)
    return {provider: _of(provider, by_check) for provider in Provider}


def _of(provider: Provider, by_check: dict[Check, list[Grade]]) -> dict[str, Grade]:
    table = {}
    for requirement in REQUIREMENTS:
        if provider in requirement.who:
            results = [result for check in requirement.checks for result in by_check.get(check, ())]
            choose = min if provider in requirement.one_is_enough else max
            table[requirement.name] = choose(results, key=severity, default=Grade.UNKNOWN)
    return table
