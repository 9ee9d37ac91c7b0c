"""Where reports come in, and what strangers may cost us there."""

from msgspec import Struct


class InboundSettings(Struct, frozen=True):
    """`listen` is an IP address and a port, empty: off, unless the service manager hands us a socket. `certificate` and
    `key` are files in PEM form, both empty: no TLS. `feedback` is the local part that feedback loops are registered
    with, empty: none. The others are not configured: who delivers reports is an MTA in no hurry and comes again."""

    listen: str = ""
    certificate: str = ""
    key: str = ""
    feedback: str = ""
    max_connections: int = 1000
    max_per_address: int = 20
    """Of one IPv4 address or one IPv6 network of 64 bits."""
    max_message_bytes: int = 1 << 20
    max_line_bytes: int = 1000
    """RFC 5321 section 4.5.3.1.6, with the line end; the dot that is doubled on the way comes on top."""
    max_command_bytes: int = 512
    """RFC 5321 section 4.5.3.1.4, with the line end."""
    max_held_bytes: int = 64 << 20
    """Of messages that are coming in or are looked at, in all."""
    max_faults: int = 10
    """Refused commands of one connection."""
    max_idle_commands: int = 50
    """Commands of one connection that bring no message nearer."""
    idle_s: float = 60.0
    """From the end of one command to the end of the next. RFC 5321 section 4.5.3.2.7 wants five minutes of servers
    that people type at."""
    data_s: float = 180.0
    """From DATA to the end of the message."""
    answer_s: float = 60.0
    """From the end of the message to its answer."""
    linger_s: float = 5.0
    """For a last reply to leave."""
    record_s: float = 15.0
    """For an event to be stored."""
    dns_s: float = 10.0
    """For the keys of a report's signatures."""
    provider_s: float = 2.0
    """For the name of the recipient's provider."""


class WorkerSettings(Struct, frozen=True):
    """What reading one report may take (H8): processor time, which a busy machine does not use up for it, and address
    space beyond that of a worker at rest. `patience_s` is for all of it, the wait for a free worker included. `most`
    reports wait or are read at once."""

    workers: int = 1
    cpu_s: float = 1.0
    wall_s: float = 5.0
    patience_s: float = 20.0
    memory_bytes: int = 200 << 20
    most: int = 32
    reports_per_process: int = 10_000
    niceness: int = 5
