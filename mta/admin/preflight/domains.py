"""Findings about names: whether return path and From domain take mail (T-04) and have an SOA, whether one-click links
lead anywhere (L-02), and what is published for mail to the return path."""

from urllib.parse import urlsplit

from mta.admin.preflight.finding import Check, Finding, failed, passed, unknown, warned
from mta.admin.preflight.identity import Identity, public
from mta.admin.preflight.question import Question, Steps, addresses_of

_MOST_HOSTS = 5  # that are looked at: one with an address is enough


def return_path(identity: Identity) -> Steps[list[Finding]]:
    name = identity.return_path
    return [
        (yield from _takes_mail(Check.RETURN_PATH_MX, name, "bounces do not come back")),
        (yield from _soa(Check.RETURN_PATH_SOA, name)),
    ]


def author(identity: Identity) -> Steps[list[Finding]]:
    name = identity.domain
    return [
        (yield from _takes_mail(Check.FROM_MX, name, "nobody can answer, and receivers refuse it (5.7.27)")),
        (yield from _soa(Check.FROM_SOA, name)),
    ]


def _takes_mail(check: Check, name: str, means: str) -> Steps[Finding]:
    todo = f"publish an MX for {name} that takes mail"
    reply = yield Question(name, "MX")
    if reply.trouble:
        return unknown(check, name, reply.trouble)
    if reply.is_missing:
        return failed(check, name, f"the name does not exist: {means}", todo)
    if reply.values and not any(reply.values):
        return failed(check, name, f"a null MX says that it takes no mail: {means}", todo)
    hosts = tuple(filter(None, reply.values)) or (name,)
    trouble = ""
    for host in hosts[:_MOST_HOSTS]:
        addresses = yield from addresses_of(host)
        if addresses.values:
            said = f"MX {host}" if reply.values else "no MX: mail goes to its own address"
            return passed(check, name, said)
        trouble = trouble or addresses.trouble
    if trouble:
        return unknown(check, name, trouble)
    said = f"MX {hosts[0]} has no address" if reply.values else "neither MX nor address"
    return failed(check, name, f"{said}: {means}", todo)


def _soa(check: Check, name: str) -> Steps[Finding]:
    """A name inside a zone is answered by the SOA of that zone, beside the answer: so it is looked for above."""
    labels = name.split(".")
    for at in range(max(len(labels) - 1, 1)):
        zone = ".".join(labels[at:])
        reply = yield Question(zone, "SOA")
        if reply.trouble:
            return unknown(check, name, reply.trouble)
        if reply.values:
            return passed(check, name, f"zone {zone}")
        if reply.is_missing and not at:
            break
    todo = f"let your nameservers answer for {name}"
    return failed(check, name, "no SOA: Yahoo does not believe that the domain exists", todo)


def one_click(identity: Identity) -> Steps[list[Finding]]:
    """Only marketing mail needs it, so what is missing is a warning."""
    needs = "Gmail and Yahoo want it of marketing mail from who sends much"
    if not identity.public_url:
        todo = 'set http.public_url, as "https://u.example.com", and have it answered'
        said = f"http.public_url is empty: there are no one-click links. {needs}"
        return [warned(Check.ONE_CLICK, "http.public_url", said, todo)]
    host = urlsplit(identity.public_url).hostname or ""
    todo = f"publish a public address for {host}, where the links are answered"
    reply = yield from addresses_of(host)
    if reply.trouble:
        return [unknown(Check.ONE_CLICK, host, reply.trouble)]
    if not reply.values:
        return [warned(Check.ONE_CLICK, host, f"has no address: one-click links lead nowhere. {needs}", todo)]
    if not public(reply.values):
        said = f"leads to {reply.values[0]}, which receivers cannot reach. {needs}"
        return [warned(Check.ONE_CLICK, host, said, todo)]
    return [passed(Check.ONE_CLICK, host, f"leads to {public(reply.values)[0]}")]


def tls(identity: Identity) -> Steps[list[Finding]]:
    """What we do; and what protects bounces on their way here, which is told but never held against anybody."""
    found = [
        warned(
            Check.TLS,
            route.pattern,
            f"goes to {route.host}:{route.port} in clear",
            'set tls = "opportunistic" in [routes]',
        )
        for route in identity.clear_routes
    ]
    if not found:
        found.append(
            passed(Check.TLS, "delivery", "STARTTLS wherever it is offered, if no payload forbids it")
        )
    for check, name, version in (
        (Check.MTA_STS, f"_mta-sts.{identity.return_path}", "v=STSv1"),
        (Check.TLS_REPORTS, f"_smtp._tls.{identity.return_path}", "v=TLSRPTv1"),
    ):
        reply = yield Question(name, "TXT")
        if reply.trouble:
            found.append(unknown(check, name, reply.trouble))
        elif any(text.replace(" ", "").split(";")[0] == version for text in reply.values):
            found.append(passed(check, name, "published"))
        else:
            found.append(passed(check, name, "not published; bounces come in without it, too"))
    return found
