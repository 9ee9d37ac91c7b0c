"""A complete configuration in a directory of its own: for the demo and for the load test.

Written as an operator would write it, keys and tokens generated, so that the daemon started with it is the
one that runs in earnest.
"""

import secrets
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from msgspec import Struct

KEY_BITS = 2048
SELECTOR = "demo"

_CONFIG = """\
[node]
name = "{node}"
state_dir = "{state_dir}"
workers = {workers}
drain_timeout = "10s"

[nats]
{nats}

[http]
listen = ""

[dns]
{dns}

[retry]
jitter = 0.1
greylist = "{greylist}"
bulk = {{ schedule = {schedule}, max_age = "{max_age}" }}
transactional = {{ schedule = {schedule}, max_age = "{max_age}" }}

[tokens]
keys = {{ k1 = "token-k1" }}

[sources]
loopback = {{ address = "127.0.0.1", ehlo = "mta.{domain}" }}

[pools]
default = {{ loopback = 1 }}

{routes}
{tenants}"""

_TENANT = """\
[tenants.{tenant}]
pools = ["default"]
return_path = "bounce.{domain}"
domains."{domain}" = {{ dkim = [{{ selector = "{selector}", key = "{domain}.pem" }}], require_dkim = true }}
"""

_ROUTE = '[routes."{pattern}"]\nhost = "{host}:{port}"\nprovider = "{provider}"\ntls = "opportunistic"\n'


class Route(Struct, frozen=True):
    pattern: str
    port: int
    provider: str = "other"
    host: str = "127.0.0.1"


class Plan(Struct, frozen=True):
    """What the configuration is to say. `others` are further tenants that send from the same domain. `shaping` is the
    text of shaping.toml, `nats` and `dns` the lines of those tables; durations are as in the file."""

    node: str
    tenant: str
    domain: str
    routes: tuple[Route, ...]
    shaping: str
    greylist: str = "10m"
    schedule: tuple[str, ...] = ("5m", "30m")
    max_age: str = "10m"
    workers: int = 0
    nats: str = "embedded = true"
    dns: str = ""
    others: tuple[str, ...] = ()


def write(directory: Path, plan: Plan) -> Path:
    """Writes configuration, rules, DKIM key and token key; returns the path of the first."""
    (directory / "shaping.toml").write_text(plan.shaping)
    (directory / "bounces.toml").write_text("")
    _secret(directory / f"{plan.domain}.pem", _new_key())
    _secret(directory / "token-k1", secrets.token_hex(32).encode())
    return write_config(directory / "mta.toml", plan, directory / "state")


def write_config(config: Path, plan: Plan, state_dir: Path) -> Path:
    """The configuration alone, for a further node with the same keys beside it."""
    config.write_text(
        _CONFIG.format(
            node=plan.node,
            state_dir=state_dir,
            nats=plan.nats,
            dns=plan.dns,
            max_age=plan.max_age,
            workers=plan.workers,
            greylist=plan.greylist,
            schedule="[" + ", ".join(f'"{wait}"' for wait in plan.schedule) + "]",
            domain=plan.domain,
            routes="\n".join(
                _ROUTE.format(
                    pattern=route.pattern, host=route.host, port=route.port, provider=route.provider
                )
                for route in plan.routes
            ),
            tenants="\n".join(
                _TENANT.format(tenant=tenant, domain=plan.domain, selector=SELECTOR)
                for tenant in (plan.tenant, *plan.others)
            ),
        )
    )
    return config


def dkim_record(directory: Path, domain: str) -> bytes:
    """The TXT record that belongs to the key written for `domain`."""
    key = serialization.load_pem_private_key((directory / f"{domain}.pem").read_bytes(), None)
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return b"v=DKIM1; k=rsa; p=" + b"".join(public.splitlines()[1:-1])


def _new_key() -> bytes:
    return rsa.generate_private_key(public_exponent=65537, key_size=KEY_BITS).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _secret(path: Path, content: bytes) -> None:
    """Created unreadable for others: the configuration refuses keys that are not."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_bytes(content)
