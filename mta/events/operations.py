"""What operators are told of a node, on `mta.ops.<node>.<type>`. Told once, best effort: nothing waits for it, and the
log has it too."""

import time
from hashlib import blake2b

import structlog
from msgspec import json

from mta.events.publisher import Publish
from mta.jetstream.pump import PubAck, PublishFailed
from mta.jetstream.subjects import ops_subject
from mta.model import times

log = structlog.get_logger()


class Operations:
    """Of one node."""

    def __init__(self, pump: Publish, node: str) -> None:
        self._pump = pump
        self._node = node

    def tell(self, kind: str, **fields: str) -> None:
        """`kind` is a type of the contract, as `tls_downgrade`; empty fields are left out."""
        self._publish(kind, fields, "")

    def tell_once(self, msg_id: str, kind: str, **fields: str) -> None:
        """What every node sees and tells: the stream keeps the first of each `msg_id`."""
        self._publish(kind, fields, msg_id)

    def _publish(self, kind: str, fields: dict[str, str], msg_id: str) -> None:
        log.warning(kind, **fields)
        event = {"v": 1, "type": kind, "time": times.render(time.time()), "node": self._node, **fields}
        body = json.encode({name: value for name, value in event.items() if value})
        msg_id = msg_id or f"{self._node}.{kind}.{blake2b(body, digest_size=12).hexdigest()}"
        try:
            self._pump.publish(ops_subject(self._node, kind), body, msg_id=msg_id, on_done=_kept)
        except BufferError:
            log.warning("operation_untold", kind=kind, reason="too much waits for the stream")


def _kept(result: PubAck | PublishFailed) -> None:
    if isinstance(result, PublishFailed):
        log.warning("operation_untold", reason=str(result))
