"""The ways that are fixed by the operator."""

from msgspec import Struct

from mta.model.login import Login
from mta.model.tls import TlsOption


class StaticRoute(Struct, frozen=True):
    """A route before MX: `pattern` is a domain or `*.suffix`; the longest match wins. `login` goes with `tls` "verify"
    only."""

    pattern: str
    host: str
    port: int
    provider: str = "other"
    tls: TlsOption = TlsOption.OPPORTUNISTIC
    login: Login | None = None
