"""What the daemon will say of a payload, said before it is sent: the same decoding, the same admission.

Pure. Without rules (no configuration at hand, or one that knows no tenants because its daemon runs elsewhere) only
what can be read is judged; whether template and attachments exist is seen by the daemon alone.
"""

import uuid

from msgspec import Struct

from mta.admin.errors import WrongInput, WrongUsage
from mta.admin.mailing import Outgoing
from mta.config.settings import Config
from mta.intake.admission import NO_CAMPAIGN, Arrival, Rules, admit
from mta.intake.decode import Decoded, Malformed, RejectCode, Rejected, decode
from mta.jetstream.layout import PAYLOADS
from mta.jetstream.subjects import payload_subject
from mta.model.lane import Lane


class RefusedRecipient(Struct, frozen=True, gc=False):
    """`index` is the place in the payload."""

    index: int
    text: str


def rules_of(config: Config | None) -> Rules | None:
    """None where another configuration than this one decides."""
    if config is None or not (config.tenants or config.nats.embedded):
        return None
    return config.rules()


def judge(
    body: bytes, lane: Lane | None, rules: Rules | None, now: float
) -> tuple[Outgoing, tuple[RefusedRecipient, ...]]:
    """Subject and id from the payload itself, and which recipients will be rejected. WrongInput if that happens to
    the payload as a whole."""
    if not body.strip():
        raise WrongInput("the payload is empty")
    decoded = decode(body)
    if isinstance(decoded, Rejected):
        raise _rejected(decoded)
    payload = decoded.payload
    if lane is not None and payload.lane is not None and lane is not payload.lane:
        raise WrongUsage(f"--lane {lane} differs from the payload's lane, {payload.lane}")
    chosen = lane or payload.lane or Lane.BULK
    refused = _refused(decoded, chosen, rules, now)
    msg_id = f"{payload.tenant}/{payload.id}" if payload.id else f"mta-send/{uuid.uuid4()}"
    subject = payload_subject(chosen, payload.tenant, payload.campaign)
    return Outgoing(subject, msg_id, body, len(payload.recipients)), refused


def _refused(decoded: Decoded, lane: Lane, rules: Rules | None, now: float) -> tuple[RefusedRecipient, ...]:
    if rules is None:
        return tuple(
            _recipient(index, one.code, one.detail)
            for index, one in enumerate(decoded.recipients)
            if isinstance(one, Malformed)
        )
    payload = decoded.payload
    arrival = Arrival(lane, payload.tenant, payload.campaign or NO_CAMPAIGN, PAYLOADS, 1, now, now)
    admitted = admit(decoded, arrival, rules)
    if isinstance(admitted, Rejected):
        raise _rejected(admitted)
    return tuple(_recipient(one.index, one.code, one.detail) for one in admitted.rejected)


def _rejected(rejected: Rejected) -> WrongInput:
    return WrongInput(f"the payload would be rejected ({rejected.code}): {rejected.detail}")


def _recipient(index: int, code: RejectCode, detail: str) -> RefusedRecipient:
    return RefusedRecipient(index, f"would be rejected ({code}): {detail}")
