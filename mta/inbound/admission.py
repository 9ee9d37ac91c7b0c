"""Who is let in at RCPT: nobody but the bearer of a token of ours. No look-up, no store, a few microseconds.

Everybody else is told the same, whatever was wrong: not whether the domain, the key, or one letter of the token.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from mta.model.token import AddressToken, Purpose, TokenReader


class Addressee(Struct, frozen=True, gc=False):
    """`token` None: the address of feedback loops, whose reports must hold a token themselves. `tenants` are those the
    domain belongs to."""

    tenants: frozenset[str]
    token: AddressToken | None

    @property
    def purpose(self) -> Purpose:
        return Purpose.FEEDBACK if self.token is None else self.token.purpose


class Admission:
    """`domains` maps each bounce domain (lower-case A-label) to the tenants that use it. `feedback` is a local part,
    empty: none."""

    def __init__(
        self, reader: TokenReader, domains: Mapping[str, Iterable[str]], *, feedback: str = ""
    ) -> None:
        self._reader = reader
        self._tenants = {domain: frozenset(tenants) for domain, tenants in domains.items()}
        self._feedback = feedback.lower()

    def judge(self, address: str) -> Addressee | None:
        """None: not for us."""
        local, _, domain = address.rpartition("@")
        tenants = self._tenants.get(domain.lower())
        if tenants is None:
            return None
        token = self._reader.address(local)
        if token is not None:
            return Addressee(tenants, token)
        if self._feedback and local.lower() == self._feedback:
            return Addressee(tenants, None)
        return None
