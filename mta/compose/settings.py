"""The process pool and the bounds on what a template may do and make."""

from msgspec import Struct

from mta.model.token import TokenKey


class ComposeSettings(Struct, frozen=True):
    """`workers` 0 means one per core. `timeout_s` holds for a chunk; `memory_bytes` is RLIMIT_AS of a
    worker. A `niceness` lets the loop, and whoever must be quick, go before workers that never rest."""

    workers: int = 0
    timeout_s: float = 10.0
    memory_bytes: int = 2_000_000_000
    max_template_bytes: int = 256_000
    max_message_bytes: int = 25_000_000
    niceness: int = 0
    chunk: int = 64


class WaysBack(Struct, frozen=True):
    """How we are reached by who got our mail: `public_url` is the base of one-click links, empty: there are none; with
    `advertise` messages name addresses of ours for complaints and unsubscribes, below the tenant's return path."""

    public_url: str = ""
    advertise: bool = False


class DkimKey(Struct, frozen=True):
    """A private key as PEM; never logged, hence no repr of it. `file` is where it was found."""

    domain: str
    selector: str
    pem: bytes
    file: str = ""

    def __repr__(self) -> str:
        return f"DkimKey(domain={self.domain!r}, selector={self.selector!r})"


class SigningKeys(Struct, frozen=True):
    """What a worker needs to sign: DKIM keys by (tenant, From domain) in the order of configuration, and
    the token keys, of which the last one mints."""

    dkim: dict[tuple[str, str], tuple[DkimKey, ...]]
    tokens: tuple[TokenKey, ...] = ()
