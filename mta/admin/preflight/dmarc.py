"""DMARC records and the tree walk (RFC 9989 sections 4.7 and 4.10): policy, organizational domain, alignment."""

import re
from typing import Literal

from msgspec import Struct

from mta.admin.preflight.question import Question, Steps
from mta.admin.tags import read_tags

Policy = Literal["none", "quarantine", "reject"]
Mode = Literal["relaxed", "strict"]
_VERSION = re.compile(r"v[ \t]*=[ \t]*DMARC1[ \t]*(?:;|\Z)")
_POLICIES: dict[str, Policy] = {"none": "none", "quarantine": "quarantine", "reject": "reject"}
_OBSOLETE = ("pct", "rf", "ri")  # RFC 9989 appendix C
_URI = re.compile(r"[a-z][a-z0-9+.-]*:[!-~]+", re.IGNORECASE)
_MOST_LABELS = 8  # section 4.10: eight queries at most


class DmarcRecord(Struct, frozen=True, gc=False):
    """`policy` None: p= is missing or unreadable. `psd` is y, n, or u (unknown). `faults` are tags that receivers
    ignore because nobody can read them; `obsolete` are tags of RFC 7489 that are ignored now."""

    policy: Policy | None
    of_subdomains: Policy | None = None
    dkim: Mode = "relaxed"
    spf: Mode = "relaxed"
    reports: tuple[str, ...] = ()
    psd: Literal["y", "n", "u"] = "u"
    is_testing: bool = False
    obsolete: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def counts_as(self) -> Policy | None:
        """Without a readable p= it is `none` where reports are asked for, and no policy else (section 4.10.1)."""
        return self.policy or ("none" if self.reports else None)


class Walk(Struct, frozen=True, gc=False):
    """From `start` upwards: the records found, by domain. `doubled` are domains with several, which are all ignored.
    `trouble` ended the walk early: what is above is not known."""

    start: str
    found: tuple[tuple[str, DmarcRecord], ...] = ()
    doubled: tuple[str, ...] = ()
    trouble: str = ""

    def at_start(self) -> DmarcRecord | None:
        return next((record for name, record in self.found if name == self.start), None)


def read_record(text: str) -> DmarcRecord | None:
    """None if it is no DMARC record at all; tags that cannot be read have their defaults."""
    if _VERSION.match(text) is None:
        return None
    tags = read_tags(text)
    if isinstance(tags, str):
        return DmarcRecord(None, faults=(tags,))
    faults = []
    reports = []
    for uri in filter(None, (part.strip() for part in tags.get("rua", "").split(","))):
        if _URI.fullmatch(uri):
            reports.append(uri)
        else:
            faults.append(f"rua={ascii(uri)[1:-1][:60]} is no URI")
    for name, known in (
        ("p", tuple(_POLICIES)),
        ("sp", tuple(_POLICIES)),
        ("np", tuple(_POLICIES)),
        ("adkim", ("r", "s")),
        ("aspf", ("r", "s")),
        ("psd", ("y", "n", "u")),
        ("t", ("y", "n")),
    ):
        if name in tags and tags[name].lower() not in known:
            faults.append(f"{name}={ascii(tags[name])[1:-1][:40]} is none of {', '.join(known)}")
    psd = tags.get("psd", "u").lower()
    return DmarcRecord(
        policy=_POLICIES.get(tags.get("p", "").lower()),
        of_subdomains=_POLICIES.get(tags.get("sp", "").lower()),
        dkim="strict" if tags.get("adkim", "").lower() == "s" else "relaxed",
        spf="strict" if tags.get("aspf", "").lower() == "s" else "relaxed",
        reports=tuple(reports),
        psd="y" if psd == "y" else "n" if psd == "n" else "u",
        is_testing=tags.get("t", "").lower() == "y",
        obsolete=tuple(name for name in _OBSOLETE if name in tags),
        faults=tuple(faults),
    )


def targets(domain: str) -> tuple[str, ...]:
    """The domains that are asked about, `domain` first; from a deep one the walk leaps to seven labels."""
    labels = domain.split(".")
    shortened = labels[1:] if len(labels) < _MOST_LABELS else labels[-(_MOST_LABELS - 1) :]
    return (domain, *(".".join(shortened[at:]) for at in range(len(shortened))))


def walk(domain: str) -> Steps[Walk]:
    """Ends early at a record that says whether its domain is a public suffix."""
    found: list[tuple[str, DmarcRecord]] = []
    doubled: list[str] = []
    for name in targets(domain):
        reply = yield Question(f"_dmarc.{name}", "TXT")
        if reply.trouble:
            return Walk(domain, tuple(found), tuple(doubled), reply.trouble)
        records = [record for text in reply.values if (record := read_record(text)) is not None]
        if len(records) > 1:
            doubled.append(name)
        if len(records) != 1:
            continue
        found.append((name, records[0]))
        if records[0].psd != "u":
            break
    return Walk(domain, tuple(found), tuple(doubled))


def organizational(walked: Walk) -> str:
    """Section 4.10.2. Of a walk without trouble."""
    for name, record in walked.found:
        if record.psd == "n":
            return name
        if record.psd == "y":  # of the start itself, it is the start
            labels = walked.start.split(".")
            return ".".join(labels[-(name.count(".") + 2) :])
    return walked.found[-1][0] if walked.found else walked.start


def applicable(walked: Walk) -> tuple[str, DmarcRecord, Policy | None] | None:
    """Where the policy for mail From: the start of the walk stands, its record, and what it asks for (section
    4.10.1); None if there is none, or if trouble hides it."""
    own = walked.at_start()
    if own is not None:
        return walked.start, own, own.counts_as
    if walked.trouble or not walked.found:
        return None
    wanted = organizational(walked)
    # Else it is the record of the public suffix above, which speaks for all below it.
    name, record = next((one for one in walked.found if one[0] == wanted), walked.found[-1])
    return name, record, record.of_subdomains or record.counts_as


def is_aligned(domain: str, author: str, mode: Mode) -> Steps[bool | str]:
    """Whether an authenticated `domain` counts for mail From: `author` (section 4.4); a str where DNS does not tell."""
    if domain == author:
        return True
    if mode == "strict":
        return False
    names = []
    for one in (domain, author):
        walked = yield from walk(one)
        if walked.trouble:
            return walked.trouble
        names.append(organizational(walked))
    return names[0] == names[1]
