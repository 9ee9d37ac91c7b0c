"""Who sends and signs: sources, pools, tenants, and their keys.

Without `[sources]` and `[pools]` there is one source, whose address the kernel chooses, in one pool named
`default`: enough for a first message, and a warning says so.
"""

from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from msgspec import Struct

from mta.compose.settings import DkimKey, SigningKeys
from mta.config.document import Document, DomainTable, TenantTable
from mta.config.keys import check_dkim_key, check_key_id, secret
from mta.config.names import a_label, is_token
from mta.config.problems import Findings, nearest
from mta.config.reading import join, show
from mta.intake.settings import DomainPolicy, TenantPolicy
from mta.model.path import EgressPool, EgressSource
from mta.model.token import TokenKey


class KeyFile(Struct, frozen=True):
    """Where a key was found, and what the file holds; never logged, hence no repr of that."""

    place: Path
    content: bytes

    def __repr__(self) -> str:
        return f"KeyFile(place={self.place!r})"


KeyReader = Callable[[str, str, str, Findings], KeyFile | None]
"""(kind, name, dotted path, findings) to a key file; None after a finding."""

_MOST_WEIGHT = 1_000
"""Turns are laid out beforehand, and nobody can tell more than so many apart."""
_TOKEN_RULE = "a name here is made of [a-z0-9_-], at most 64 of them"


def sources(document: Document, host_name: str, found: Findings) -> dict[str, EgressSource]:
    if not document.sources:
        found.odd(
            "sources", f"none: mail says EHLO {host_name} and leaves from the address the kernel chooses"
        )
        return {"default": EgressSource("default", host_name)}
    result = {}
    for name, table in document.sources.items():
        path = join("sources", name)
        if not is_token(name):
            found.wrong(path, _TOKEN_RULE)
        ehlo = _domain(table.ehlo, f"{path}.ehlo", found)
        result[name] = EgressSource(name, ehlo, _address(table.address, path, found))
    return result


def pools(document: Document, known: dict[str, EgressSource], found: Findings) -> dict[str, EgressPool]:
    if not document.pools:
        return {"default": EgressPool("default", tuple((source, 1) for source in known.values()))}
    result = {}
    for name, weights in document.pools.items():
        path = join("pools", name)
        if not is_token(name):
            found.wrong(path, _TOKEN_RULE)
        members = []
        for source, weight in weights.items():
            if source not in known:
                found.wrong(join(path, source), f"unknown source{nearest(source, known)}")
            elif not 0 <= weight <= _MOST_WEIGHT:
                found.wrong(
                    join(path, source),
                    f"expected a weight from 0 (stands by) to {_MOST_WEIGHT}, found {weight}",
                )
            else:
                members.append((known[source], weight))
        if not any(weights.values()):
            found.wrong(path, "needs at least one source with a weight above 0, as in { a1 = 1 }")
        result[name] = EgressPool(name, tuple(members))
    return result


def tenants(document: Document, known: dict[str, EgressPool], found: Findings) -> dict[str, TenantPolicy]:
    if not document.tenants:
        found.odd("tenants", "none: every payload will be rejected")
    result = {}
    for name, table in document.tenants.items():
        path = join("tenants", name)
        if not is_token(name):
            found.wrong(path, _TOKEN_RULE)
        for pool in table.pools:
            if pool not in known:
                found.wrong(f"{path}.pools", f"unknown pool {show(pool)}{nearest(pool, known)}")
        if not table.pools:
            found.wrong(f"{path}.pools", "needs at least one pool; the first is the default")
        if not table.domains:
            found.odd(path, "has no domains: every From address will be rejected")
        result[name] = TenantPolicy(
            name=name,
            pools=table.pools,
            return_path=_domain(table.return_path, f"{path}.return_path", found),
            domains=_domains(table.domains, f"{path}.domains", found),
            skip_suppression=table.skip_suppression,
            campaign_pools=_campaign_pools(table, path, found),
        )
    return result


def _campaign_pools(table: TenantTable, path: str, found: Findings) -> dict[str, str]:
    """By campaign; a name may end in `*`."""
    for campaign, pool in table.campaign_pools.items():
        where = join(f"{path}.campaign_pools", campaign)
        if pool not in table.pools:
            found.wrong(where, f"{show(pool)} is none of this tenant's pools{nearest(pool, table.pools)}")
        if "*" in campaign[:-1]:
            found.wrong(where, "can never match: a `*` stands at the end of a name only")
    return table.campaign_pools


def signing_keys(document: Document, read_key: KeyReader, found: Findings) -> SigningKeys:
    """Keys that cannot be used are left out, each with its finding."""
    dkim: dict[tuple[str, str], tuple[DkimKey, ...]] = {}
    published: dict[tuple[str, str], tuple[str, bytes]] = {}
    for tenant, table in document.tenants.items():
        for domain, policy in table.domains.items():
            path = join(f"{join('tenants', tenant)}.domains", domain)
            try:
                label = a_label(domain)
            except ValueError:
                continue  # found by `tenants`
            keys = _dkim_keys(label, policy, path, read_key, found)
            dkim[tenant, label] = keys
            for key in keys:
                other, pem = published.setdefault((label, key.selector), (path, key.pem))
                if pem != key.pem:
                    found.wrong(
                        path, f"selector {key.selector} has another key in {other}: DNS holds only one"
                    )
    return SigningKeys(dkim, _token_keys(document, read_key, found))


def hash_keys(document: Document, read_key: KeyReader, found: Findings) -> dict[str, bytes]:
    """By tenant; needed as soon as addresses are told or kept as hashes."""
    is_needed = document.events.recipient == "hash" or document.index.recipients == "hash"
    result = {}
    for name, table in document.tenants.items():
        path = f"{join('tenants', name)}.hash_key"
        if table.hash_key:
            file = read_key("hash", table.hash_key, path, found)
            value = secret(file.content, path, found) if file is not None else None
            if value is not None:
                result[name] = value
        elif is_needed:
            found.wrong(path, 'is needed for events.recipient or index.recipients = "hash"')
    return result


def _dkim_keys(
    domain: str, policy: DomainTable, path: str, read_key: KeyReader, found: Findings
) -> tuple[DkimKey, ...]:
    keys = []
    kinds = []
    for at, table in enumerate(policy.dkim):
        where = f"{path}.dkim[{at}]"
        try:
            selector = a_label(table.selector)
        except ValueError:
            continue  # found by `tenants`
        file = read_key("dkim", table.key, f"{where}.key", found)
        kind = check_dkim_key(file.content, f"{where}.key", found) if file is not None else None
        if file is not None and kind is not None:
            keys.append(DkimKey(domain, selector, file.content, str(file.place)))
            kinds.append(kind)
    if len(kinds) == len(policy.dkim) and set(kinds) == {"ed25519"}:  # K-02
        found.wrong(f"{path}.dkim", "has only Ed25519, which many receivers cannot verify: add an RSA key")
    return tuple(keys)


def _token_keys(document: Document, read_key: KeyReader, found: Findings) -> tuple[TokenKey, ...]:
    if not document.tokens.keys:
        found.odd("tokens.keys", "none: return paths carry no token, so late bounces cannot be told apart")
        if document.events.recipient != "full":
            found.odd("events.recipient", "without tokens.keys nobody is suppressed whom a server refuses")
    keys = []
    for key_id, name in document.tokens.keys.items():
        path = join("tokens.keys", key_id)
        if not check_key_id(key_id, path, found):
            continue
        file = read_key("tokens", name, path, found)
        value = secret(file.content, path, found) if file is not None else None
        if value is not None:
            keys.append(TokenKey(key_id, value))
    if len({key.secret for key in keys}) < len(keys):
        found.wrong("tokens.keys", "two of them hold the same bytes")
    return tuple(keys)


def _domains(tables: dict[str, DomainTable], path: str, found: Findings) -> dict[str, DomainPolicy]:
    result: dict[str, DomainPolicy] = {}
    for name, table in tables.items():
        where = join(path, name)
        label = _domain(name, where, found)
        if label in result:
            found.wrong(where, f'is "{label}", which is there already')
        selectors = tuple(_domain(key.selector, f"{where}.dkim.selector", found) for key in table.dkim)
        if len(set(selectors)) < len(selectors):
            found.wrong(f"{where}.dkim", "names one selector twice: each key needs its own")
        if table.require_dkim and not table.dkim:
            found.wrong(f"{where}.dkim", "needs a key, or set require_dkim = false")
        result[label] = DomainPolicy(label, selectors, table.require_dkim)
    return result


def _address(text: str, path: str, found: Findings) -> str:
    if not text:
        return ""
    try:
        return str(ip_address(text))
    except ValueError:
        found.wrong(f"{path}.address", f"{show(text)} is no IP address")
        return ""


def _domain(name: str, path: str, found: Findings) -> str:
    try:
        return a_label(name)
    except ValueError as error:
        found.wrong(path, f"{show(name)} {error}")
        return name
