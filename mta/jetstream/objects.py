"""The object store: what is too large for a message, in chunks (ADR-20, shared with any other client).

Reading is bounded: an object that says it is larger than the caller takes is refused before its first chunk,
and one whose chunks do not add up to its size and digest is no object.
"""

import base64
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
from msgspec import Struct

from mta.jetstream.connection import Link
from mta.jetstream.errors import NotFound, Refused, TooLarge

CHUNK_BYTES = 128 << 10


class _Options(Struct, omit_defaults=True):
    max_chunk_size: int = 0


class ObjectInfo(Struct, frozen=True, omit_defaults=True, kw_only=True):
    """As it stands on the wire; fields of others are ignored."""

    name: str
    bucket: str = ""
    nuid: str = ""
    size: int = 0
    chunks: int = 0
    mtime: str = ""
    digest: str = ""
    deleted: bool = False
    options: _Options | None = None


class ObjectStore:
    def __init__(self, link: Link, name: str) -> None:
        self._link = link
        self._name = name
        self._stream = f"OBJ_{name}"

    def _meta_subject(self, name: str) -> str:
        return f"$O.{self._name}.M.{base64.urlsafe_b64encode(name.encode()).decode()}"

    def _chunk_subject(self, nuid: str) -> str:
        return f"$O.{self._name}.C.{nuid}"

    async def info(self, name: str) -> ObjectInfo | None:
        stored = await self._link.last_message(self._stream, self._meta_subject(name))
        if stored is None:
            return None
        try:
            info = msgspec.json.decode(stored.data, type=ObjectInfo)
        except msgspec.DecodeError as error:
            raise Refused(f"object {name}: unreadable description") from error
        return None if info.deleted else info

    async def put(self, name: str, data: bytes) -> ObjectInfo:
        """Stores; the old object of that name, if any, is there until the new one is complete."""
        before = await self.info(name)
        nuid = self._link.inbox().rpartition(".")[2]
        subject = self._chunk_subject(nuid)
        pieces = [data[at : at + CHUNK_BYTES] for at in range(0, len(data), CHUNK_BYTES)]
        for number, piece in enumerate(pieces):
            await self._link.call(subject, piece, headers={"Nats-Msg-Id": f"{nuid}.{number}"}, timeout_s=30.0)
        info = ObjectInfo(
            name=name,
            bucket=self._name,
            nuid=nuid,
            size=len(data),
            chunks=len(pieces),
            mtime=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}",
            digest=_digest(data),
            options=_Options(CHUNK_BYTES),
        )
        headers = {"Nats-Rollup": "sub"}
        await self._link.call(self._meta_subject(name), msgspec.json.encode(info), headers=headers)
        if before is not None and before.nuid:
            await self._link.api(f"STREAM.PURGE.{self._stream}", {"filter": self._chunk_subject(before.nuid)})
        return info

    async def get(self, name: str, *, max_bytes: int) -> bytes:
        """`NotFound`, or `TooLarge` before anything is read."""
        info = await self.info(name)
        if info is None:
            raise NotFound(f"object {name}: not in {self._name}")
        if info.size > max_bytes:
            raise TooLarge(f"object {name}: {info.size} bytes, at most {max_bytes} are taken")
        data = bytearray()
        sequence = 0
        while len(data) < info.size:
            query = {"seq": sequence + 1, "next_by_subj": self._chunk_subject(info.nuid)}
            stored = await self._link.direct(self._stream, query)
            if stored is None:
                break
            sequence = stored.sequence
            data += stored.data
        if len(data) != info.size or (info.digest and info.digest != _digest(data)):
            raise Refused(f"object {name}: its chunks do not add up to what it says it is")
        return bytes(data)

    async def delete(self, name: str) -> None:
        """No error if there is none."""
        info = await self.info(name)
        if info is None:
            return
        gone = ObjectInfo(name=name, bucket=self._name, nuid=info.nuid, deleted=True)
        await self._link.call(
            self._meta_subject(name), msgspec.json.encode(gone), headers={"Nats-Rollup": "sub"}
        )
        await self._link.api(f"STREAM.PURGE.{self._stream}", {"filter": self._chunk_subject(info.nuid)})


def _digest(data: bytes | bytearray) -> str:
    return f"SHA-256={base64.urlsafe_b64encode(sha256(data).digest()).decode()}"
