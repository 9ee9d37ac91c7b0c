"""What a payload's messages are made of: its template looked up, its attachments fetched, its sources compiled once.

What cannot be had raises `PayloadRefused` with a code of the event contract. What was found is kept in MTA_CONTENT
when a recipient has to wait, so that a retry renders what the first attempt did, and is read back from there.
"""

import base64
import hashlib
import time
from collections.abc import Mapping

import msgspec

from mta.compose.cache import LruCache
from mta.compose.settings import WaysBack
from mta.compose.spec import AttachmentPart, MessageSpec, Sources, SpecBlob, encode_spec
from mta.compose.templates import TemplateMissing, Templates
from mta.compose.workers import Composer
from mta.flow.specs import check_given, message_spec, refused, sources_of
from mta.intake.admission import Admitted
from mta.intake.decode import Refusal, RejectCode
from mta.intake.retry import encode_content
from mta.intake.rules import check_texts
from mta.jetstream.errors import NotFound, Refused, TooLarge
from mta.jetstream.kv import Bucket
from mta.jetstream.objects import ObjectStore
from mta.model.lane import Lane
from mta.model.payload import Attachment, StoredContent

_OBJECT = "obj://"
_CONTENT_BYTES = 32 << 20
_LINE_BYTES, _LINE_ENCODED = 57, 78  # of base64, with its line end
_PUT_AGAIN_S = 86_400.0  # the bucket keeps a content for 8 days, a recipient waits for 5 at most
_stored_decoder = msgspec.json.Decoder(StoredContent)


class Contents:
    """`max_attachment_bytes` bounds the attachments of one payload as they are sent: in base64."""

    def __init__(
        self,
        templates: Templates,
        composers: Mapping[Lane, Composer],
        kept: Bucket,
        objects: ObjectStore,
        *,
        ways_back: WaysBack,
        max_attachment_bytes: int,
    ) -> None:
        self._templates = templates
        self._composers = composers
        self._kept = kept
        self._objects = objects
        self._ways_back = ways_back
        self._max_attachment_bytes = max_attachment_bytes
        self._compiles: LruCache[bytes, bool] = LruCache(10_000, 10_000)
        self._put_at: LruCache[str, float] = LruCache(10_000, 10_000)
        self._read: LruCache[str, StoredContent] = LruCache(1_000, _CONTENT_BYTES)

    async def find(self, admitted: Admitted) -> StoredContent:
        """Of a fresh payload."""
        payload = admitted.payload
        content, label = payload.content, "inline"
        if content.template is not None:
            ref = content.template
            try:
                found = await self._templates.get(admitted.tenant, ref.name, ref.version)
                content = found.content(content)
                check_texts(content)
            except TemplateMissing as error:
                raise refused(RejectCode.TEMPLATE_MISSING, str(error), admitted) from error
            except Refusal as error:
                raise refused(RejectCode.TEMPLATE_ERROR, error.detail, admitted) from error
            label = f"{ref.name}/{found.version}"
        return StoredContent(content=content, attachments=payload.attachments, label=label)

    async def recall(self, sha256: str) -> StoredContent | None:
        """Of a due payload; None: nobody keeps it any more."""
        known = self._read.get(sha256)
        if known is not None:
            return known
        entry = await self._kept.get(sha256)
        if entry is None or hashlib.sha256(entry.value).hexdigest() != sha256:
            return None
        stored = _stored_decoder.decode(entry.value)
        self._read.put(sha256, stored, len(entry.value))
        return stored

    async def keep(self, stored: StoredContent) -> str:
        """Put it where a retry will find it; returns its name there, after the put was acknowledged."""
        sha256, body = encode_content(stored)
        now = time.monotonic()
        put_at = self._put_at.get(sha256)
        if put_at is None or now - put_at > _PUT_AGAIN_S:
            await self._kept.put(sha256, body)
            self._put_at.put(sha256, now, 1)
        return sha256

    async def prepare(self, admitted: Admitted, stored: StoredContent, require_dkim: bool) -> SpecBlob:
        """The shared part of all messages, as the workers take it."""
        parts: list[AttachmentPart] = []
        room = self._max_attachment_bytes
        for attachment in stored.attachments:
            part = await self._attachment(admitted, attachment, room)
            room -= -(-len(part.data) // _LINE_BYTES) * _LINE_ENCODED
            parts.append(part)
        spec = message_spec(admitted, stored, tuple(parts), self._ways_back, require_dkim)
        check_given(admitted, spec)
        await self._compile(admitted, spec)
        return encode_spec(spec)

    async def _attachment(self, admitted: Admitted, attachment: Attachment, room: int) -> AttachmentPart:
        if attachment.data is not None:
            data = base64.b64decode(attachment.data)
        else:
            name = (attachment.ref or "").removeprefix(_OBJECT)
            try:
                most = max(room, 0) // _LINE_ENCODED * _LINE_BYTES
                data = await self._objects.get(name, max_bytes=most)
            except TooLarge as error:
                raise refused(RejectCode.TOO_LARGE, str(error), admitted) from error
            except (NotFound, Refused) as error:
                raise refused(RejectCode.ATTACHMENT_MISSING, str(error), admitted) from error
        return AttachmentPart(attachment.name, attachment.type, data, attachment.inline, attachment.cid or "")

    async def _compile(self, admitted: Admitted, spec: MessageSpec) -> None:
        """Once per content, in a worker: a template is hostile until it has been compiled."""
        fields = {name: source for name, source in sources_of(spec) if "{" in source}
        if spec.engine == "static" or not fields:
            return
        sources = Sources(fields, spec.engine, spec.undefined)
        key = hashlib.blake2b(msgspec.msgpack.encode(sources), digest_size=16).digest()
        if self._compiles.get(key) is None:
            problems = await self._composers[admitted.lane].check(sources)
            if problems:
                raise refused(RejectCode.TEMPLATE_ERROR, "; ".join(problems)[:1000], admitted)
            self._compiles.put(key, True, 1)
