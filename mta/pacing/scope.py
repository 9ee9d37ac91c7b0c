"""What a limit or a trouble belongs to: one site, one provider, one MX host, or all that a source sends."""

from enum import StrEnum

from msgspec import Struct

OTHER = "other"
"""The provider of sites that are nobody's: a name for many, and so nothing that a limit could hold for."""


class ScopeKind(StrEnum):
    SITE = "site"
    PROVIDER = "provider"
    HOST = "host"
    SOURCE = "source"


class Scope(Struct, frozen=True, gc=False, order=True):
    """Always of one source. `name` is that of the site, the provider or the host; empty for the source as a whole."""

    kind: ScopeKind
    source: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.source} → {self.name}" if self.name else self.source
