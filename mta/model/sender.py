"""Whose mail it is: what fairness, pacing and circuit breakers go by."""

from msgspec import Struct


class Sender(Struct, frozen=True, gc=False):
    """Of one payload. `stream` is the kind of mail; with tenant and `from_domain` it is the tenant stream that a
    receiver judges by (its reputation is that of the domain, not of our address)."""

    tenant: str
    campaign: str = ""
    stream: str = ""
    from_domain: str = ""
