"""`mta dkim gen`: a private key in a file of its own, and what to publish and to configure.

The file is made once and for its owner alone; there is no way to overwrite one, as mail signed with the key that it
holds is still under way.
"""

import os
import re
import shlex
from pathlib import Path

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec import Struct

from mta.admin.dkim_record import spoken, zone_line
from mta.admin.errors import MissingInput, WrongInput, WrongUsage
from mta.admin.output import Output
from mta.compose.dkim import GOOD_RSA_BITS, MIN_RSA_BITS, SigningKey
from mta.config.load import SYSTEM_CONFIG
from mta.model.address import BadAddress, canonical_domain

MAX_RSA_BITS = 4096  # RFC 8301 section 3.2: receivers need not take more
_PLACE = "dkim"
_MOST_NAME = 253  # of a name in DNS, without its final dot
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?", re.ASCII)


class Order(Struct, frozen=True, gc=False):
    """`bits` are of RSA; 0 makes an Ed25519 key."""

    domain: str
    selector: str
    bits: int


def order(domain: str, selector: str, bits: int = 0, *, is_ed25519: bool = False) -> Order:
    """The domain in A-labels, the selector in lower case; WrongUsage says what cannot be asked for."""
    try:
        label = canonical_domain(domain)
    except BadAddress as error:
        raise WrongUsage(f"{domain[:80]!r} cannot stand in From: {error}") from error
    if not selector.isascii() or not all(map(_LABEL.fullmatch, selector.lower().split("."))):
        raise WrongUsage(
            f"{selector[:80]!r} is no selector: letters, digits and hyphens, in labels with dots between, as s2026"
        )
    if len(f"{selector}._domainkey.{label}") > _MOST_NAME:
        raise WrongUsage(
            f"the name of the record would be longer than {_MOST_NAME} characters: shorten the selector"
        )
    if is_ed25519 and bits:
        raise WrongUsage("--bits is of RSA keys, an Ed25519 key has but one size")
    if not is_ed25519:
        bits = bits or GOOD_RSA_BITS
        _check_bits(bits)
    return Order(label, selector.lower(), bits)


def gen(config: Path, ordered: Order, out: Path | None, output: Output) -> int:
    """`config` is where the configuration is, or will be."""
    place = Path(os.path.abspath(out)) if out is not None else _default_place(config, ordered)
    if not str(place).isprintable():
        raise WrongUsage(f"{str(place)!r} holds what cannot be printed, so no configuration can name it")
    private = generate_private_key(65537, ordered.bits) if ordered.bits else Ed25519PrivateKey.generate()
    _store(place, private)
    key = SigningKey(ordered.domain, ordered.selector, private, ordered.bits)
    _tell(key, place, config, output)
    return 0


def _check_bits(bits: int) -> None:
    if bits < MIN_RSA_BITS:
        raise WrongUsage(
            f"--bits {bits}: receivers ignore RSA keys below {MIN_RSA_BITS}; {GOOD_RSA_BITS} are good"
        )
    if bits > MAX_RSA_BITS:
        raise WrongUsage(
            f"--bits {bits}: receivers need not take RSA keys above {MAX_RSA_BITS}, and the record outgrows what "
            f"many DNS services and resolvers carry; {GOOD_RSA_BITS} are good"
        )


def _default_place(config: Path, ordered: Order) -> Path:
    directory = Path(os.path.abspath(config)).parent / _PLACE
    if not directory.parent.is_dir():
        raise MissingInput(
            f"{directory.parent}: no such directory. Make it, or say where the key shall be with --out, or where the "
            "configuration is with --config"
        )
    try:
        directory.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise WrongInput(f"{directory}: {error.strerror}") from error
    return directory / f"{ordered.domain}.{ordered.selector}.pem"


def _store(place: Path, private: RSAPrivateKey | Ed25519PrivateKey) -> None:
    """On the disk, whole and for the owner alone, or not at all."""
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise WrongInput(
            f"{place} is there already and is left alone: choose another selector, or --out"
        ) from error
    except FileNotFoundError as error:
        raise MissingInput(f"{place.parent}: no such directory") from error
    except OSError as error:
        raise WrongInput(f"{place}: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        place.unlink(missing_ok=True)
        raise WrongInput(f"{place}: {error.strerror}") from error


def _tell(key: SigningKey, place: Path, config: Path, output: Output) -> None:
    record = key.dns_record()
    entry = f'{{ selector = "{key.selector}", key = {_quoted(_named(place, config))} }}'
    line = f'domains."{key.domain}" = {{ dkim = [{entry}] }}'
    output.result(
        {
            **{"domain": key.domain, "selector": key.selector, "kind": "rsa" if key.bits else "ed25519"},
            **{"bits": key.bits, "file": str(place), "name": key.dns_name, "record": record},
            **{"zone": zone_line(key.dns_name, record), "configuration": line if key.bits else entry},
        }
    )
    said = [
        f"Private key ({spoken('rsa' if key.bits else 'ed25519', key.bits)}): {place}",
        f"Publish in the zone of {key.domain}:",
        zone_line(key.dns_name, record),
        f"Where a web form asks for name, type and value: {key.dns_name}, TXT, and",
        record,
    ]
    if key.bits:
        said += [f"When DNS has it, put into {config}, below the tenant that sends from {key.domain}:", line]
    else:
        said += [f"When DNS has it, put into {config}, beside the domain's RSA key in `dkim`:", entry]
    for text in said:
        output.say(text)
        output.say("")
    option = "" if config == SYSTEM_CONFIG else f" --config {shlex.quote(str(config))}"
    output.say(f"Before the daemon is restarted: mta dkim check {key.domain}{option}")
    if 0 < key.bits < GOOD_RSA_BITS:
        output.note(f"RSA of {key.bits} bits is weak: {GOOD_RSA_BITS} are good", "yellow")


def _named(place: Path, config: Path) -> str:
    """As short as the configuration may call it."""
    beside = Path(os.path.abspath(config)).parent
    return place.name if place.parent in (beside, beside / _PLACE) else str(place)


def _quoted(text: str) -> str:
    """A basic string of TOML, which has the escapes of JSON."""
    return orjson.dumps(text).decode()
