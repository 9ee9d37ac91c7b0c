"""What a worker process runs: a chunk of recipients in, composed and signed messages or reasons why not out.

Both ways one MessagePack blob: the pool pickles what it carries, and bytes pickle for nothing. What a
payload's messages share travels as a `SpecBlob` with each chunk, and is decoded and prepared once per
worker.

Invariants: results are in the order asked for, one each; nothing a recipient's data does reaches another's
message or text of failure; a message is never handed out unsigned where a key is configured or signing
required; the same recipient of the same payload gives the same Message-ID, Date, tokens and body whenever
and wherever it is composed. Endless loops and death are the business of `mta.compose.workers`.
"""

from itertools import islice
from uuid import UUID

from msgspec import Struct, msgpack

from mta.compose.cache import LruCache
from mta.compose.canary import Canary
from mta.compose.dkim import Covered, Draft, KeyRefused, Signer, load_keys, seal
from mta.compose.header import Field, HeaderRefused, checked_address
from mta.compose.message import DataRefused, Links, Prepared, Unsigned, build
from mta.compose.mime import AttachmentRefused, ContentRefused
from mta.compose.settings import ComposeSettings, SigningKeys
from mta.compose.spec import (
    Addressee,
    Composed,
    ComposeFailed,
    Inspection,
    MessageSpec,
    Result,
    Sources,
    SpecBlob,
    decode_chunk,
    decode_spec,
)
from mta.compose.template import Engine, TemplateFailed, check_template
from mta.model import ids
from mta.model.message import Envelope, Message
from mta.model.token import Purpose, TokenMint

SPECS_KEPT = 256
SPEC_BYTES_KEPT = 64_000_000
_SOURCES = msgpack.Decoder(Sources)


class NoKey(Exception):
    """We lack what we need to make this message as asked: our fault, and to be tried again. `code` is dkim
    or token."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


class _Failure(Struct, frozen=True, gc=False):
    code: str
    detail: str
    is_local_fault: bool = False

    def of(self, index: int, message_id: str) -> ComposeFailed:
        return ComposeFailed(index, message_id, self.code, self.detail, self.is_local_fault)


class _Begun(Struct, frozen=True):
    """A message that only lacks its signatures."""

    index: int
    message_id: str
    sender: str
    recipient: str
    prepared: Prepared
    unsigned: Unsigned
    signer: Signer | None
    covered: tuple[Covered, ...]


class Job:
    """A worker's own state: keys loaded once, templates compiled, specs prepared, canaries seen."""

    def __init__(self, settings: ComposeSettings, keys: SigningKeys) -> None:
        self._settings = settings
        self._keys = keys
        self._engine = Engine(settings.max_template_bytes)
        self._prepared: LruCache[bytes, tuple[MessageSpec, Prepared | _Failure]]
        self._prepared = LruCache(SPECS_KEPT, SPEC_BYTES_KEPT)
        self._signers: dict[tuple[str, str], Signer | str] = {}
        self._canary = Canary()
        self._mint = TokenMint(keys.tokens[-1].key_id, keys.tokens[-1].secret) if keys.tokens else None

    def compose(self, blob: bytes) -> bytes:
        """A `Chunk` in, a list of `Result` out. In three passes, for the sake of the processor's caches: see
        `mta.compose.dkim.seal`."""
        chunk = decode_chunk(blob)
        begun: list[_Begun | ComposeFailed] = []
        for group in chunk.groups:
            spec, prepared = self._prepare(group.spec)
            begun += [self._begin(spec, prepared, addressee, chunk.now) for addressee in group.addressees]
        signatures = iter(seal([one for work in begun if isinstance(work, _Begun) for one in work.covered]))
        results: list[Result] = [
            self._end(work, tuple(islice(signatures, len(work.covered))))
            if isinstance(work, _Begun)
            else work
            for work in begun
        ]
        return msgpack.encode(results)

    def inspect(self, blob: bytes) -> bytes:
        """`Sources` in, an `Inspection` out."""
        sources = _SOURCES.decode(blob)
        limit = self._settings.max_template_bytes
        problems = check_template(sources.fields, limit, sources.engine, sources.undefined)
        names: set[str] = set()
        if not problems and sources.engine == "jinja":
            names = set().union(*(self._engine.undeclared(source) for source in sources.fields.values()))
        return msgpack.encode(Inspection(problems, sorted(names)))

    def _prepare(self, blob: SpecBlob) -> tuple[MessageSpec, Prepared | _Failure]:
        found = self._prepared.get(blob.key)
        if found is None:
            spec = decode_spec(blob.blob)
            prepared: Prepared | _Failure
            try:
                prepared = Prepared(spec, self._engine, self._settings.max_message_bytes)
            except Exception as error:
                prepared = _failure(error, spec)
            found = (spec, prepared)
            self._prepared.put(blob.key, found, len(blob.blob))
        return found

    def _begin(
        self, spec: MessageSpec, prepared: Prepared | _Failure, addressee: Addressee, now: float
    ) -> _Begun | ComposeFailed:
        identity = ids.message_id(spec.accepted_at, spec.tenant, spec.payload_id, addressee.key)
        digits = f"{identity.int:032x}"
        # As str(identity), in a third of the time.
        message_id = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
        if isinstance(prepared, _Failure):
            return prepared.of(addressee.index, message_id)
        try:
            recipient = checked_address("recipient", addressee.email, utf8=True)
            signer = self._signer(spec)
            links = Links(
                self._one_click_url(spec, recipient, identity),
                self._unsubscribe_uri(spec, addressee),
                self._feedback_token(prepared, addressee, signer),
            )
            unsigned = build(prepared, addressee, message_id, links)
            sender = self._return_path(spec, addressee)
            covered: tuple[Covered, ...] = ()
            if signer is not None:
                draft = Draft(sender, recipient, unsigned.fields, unsigned.body)
                covered = signer.cover(draft, unsigned.body_hash, now)
        except Exception as error:
            return _failure(error, spec).of(addressee.index, message_id)
        return _Begun(addressee.index, message_id, sender, recipient, prepared, unsigned, signer, covered)

    def _end(self, work: _Begun, signatures: tuple[Field, ...]) -> Result:
        unsigned = work.unsigned
        wire = _wire((*signatures, *unsigned.fields), unsigned.body, work.recipient)
        failure = self._refusal(work, wire)
        if failure is not None:
            return failure.of(work.index, work.message_id)
        message = Message(
            wire=wire,
            message_id=work.message_id,
            rfc_message_id=unsigned.rfc_message_id,
            dkim_domains=() if work.signer is None else work.signer.domains,
            is_eight_bit=unsigned.is_eight_bit,
        )
        return Composed(work.index, Envelope(work.sender, work.recipient, message))

    def _refusal(self, work: _Begun, wire: bytes) -> _Failure | None:
        """The last look at what is about to leave."""
        spec = work.prepared.spec
        limit = self._settings.max_message_bytes
        if len(wire) > limit:
            detail = f"template {spec.template_label}, {len(wire)} bytes where {limit} are allowed"
            return _Failure("too_large", detail)
        if work.signer is not None:
            digest = work.prepared.template_digest
            failed = self._canary.failed(spec.tenant, digest, wire, work.signer.keys)
            if failed is not None:
                detail = f"the signature of {failed.selector} of {failed.domain} does not verify"
                return _Failure("dkim", detail, is_local_fault=True)
        return None

    def _signer(self, spec: MessageSpec) -> Signer | None:
        """None where nothing is configured and nothing required. A key that is configured but cannot sign
        is never passed over in silence."""
        place = (spec.tenant, spec.from_domain)
        signer = self._signers.get(place)
        if signer is None:
            configured = self._keys.dkim.get(place, ())
            if not configured and not spec.require_dkim:
                return None
            try:
                keys, _ = load_keys(configured)
                signer = Signer(keys) if keys else f"no DKIM key for {spec.from_domain}"
            except KeyRefused as refused:
                signer = str(refused)
            self._signers[place] = signer
        if isinstance(signer, str):
            raise NoKey("dkim", signer)
        return signer

    def _one_click_url(self, spec: MessageSpec, recipient: str, message_id: UUID) -> str:
        if not spec.one_click:
            return ""
        if self._mint is None or not spec.public_url:
            raise NoKey("token", "one-click unsubscribe needs a token key and http.public_url")
        token = self._mint.one_click(spec.tenant, spec.campaign, spec.stream, recipient, message_id.bytes)
        return f"{spec.public_url.rstrip('/')}/o/{token}"

    def _unsubscribe_uri(self, spec: MessageSpec, addressee: Addressee) -> str:
        if not spec.own_unsubscribe:
            return ""
        if self._mint is None or not spec.return_path:
            raise NoKey("token", "unsubscribing by mail to us needs a token key and a return path")
        token = self._mint.address(Purpose.UNSUBSCRIBE, spec.payload_key, addressee.index, addressee.email)
        return f"mailto:{Purpose.UNSUBSCRIBE}+{token}@{spec.return_path}"

    def _feedback_token(self, prepared: Prepared, addressee: Addressee, signer: Signer | None) -> str:
        """RFC 9477 section 3.1: what is not signed is ignored."""
        if not prepared.takes_feedback or signer is None or self._mint is None:
            return ""
        key = prepared.spec.payload_key
        return self._mint.address(Purpose.FEEDBACK, key, addressee.index, addressee.email)

    def _return_path(self, spec: MessageSpec, addressee: Addressee) -> str:
        """L-08: one per message, so that a report names its recipient."""
        if not spec.return_path:
            return spec.from_email
        if self._mint is None:
            return f"b@{spec.return_path}"
        token = self._mint.return_path(spec.payload_key, addressee.index, addressee.email)
        return f"b+{token}@{spec.return_path}"


def _wire(fields: tuple[Field, ...], body: bytes, recipient: str) -> bytes:
    """Only a recipient whose address is not ASCII may make a header that is not."""
    head = "".join([f"{name}: {value}\r\n" for name, value in fields])
    return b"".join((head.encode("ascii" if recipient.isascii() else "utf-8"), b"\r\n", body))


def _failure(error: Exception, spec: MessageSpec) -> _Failure:
    """Every way to fail, by name; what has none is a bug of ours, which must not take the neighbours down
    with it."""
    match error:
        case TemplateFailed():
            return _Failure(error.code, f"template {spec.template_label}, {error}")
        case HeaderRefused():
            return _Failure("header", str(error))
        case ContentRefused():
            return _Failure("content", str(error))
        case AttachmentRefused():
            return _Failure("attachment", str(error))
        case DataRefused():
            return _Failure("data", str(error))
        case NoKey():
            return _Failure(error.code, str(error), is_local_fault=True)
        case MemoryError():
            return _Failure("memory", f"template {spec.template_label}: out of memory")
        case _:
            place = error.__traceback__
            while place is not None and place.tb_next is not None:
                place = place.tb_next
            line = "" if place is None else f" at {place.tb_frame.f_code.co_name}:{place.tb_lineno}"
            return _Failure("internal", f"{type(error).__name__}{line}", is_local_fault=True)
