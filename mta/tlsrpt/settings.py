"""Who reports, and when."""

from msgspec import Struct


class TlsRptSettings(Struct, frozen=True):
    """`organization` and `contact` stand in the reports. Those that go by mail are payloads of `tenant`, from the
    address `sender`, whose domain is one of the tenant's. While `is_on` is False the others say nothing."""

    is_on: bool = False
    organization: str = ""
    contact: str = ""
    tenant: str = ""
    sender: str = ""
    begin_s: float = 600.0
    """After midnight, UTC: until then sessions of the day before may still be told."""
    spread_s: float = 4 * 3600.0
    """RFC 8460 section 4.1 asks for a delay, of up to four hours for example, so that a receiver does not get the
    reports of everybody at once."""
    retry_s: float = 900.0
    """Before the first repetition; then twice as long each time."""
    look_s: float = 60.0
    """Between two looks at what is due, and between two writings of the counts."""
