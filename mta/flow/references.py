"""The recipients of a payload in work as a channel takes them. Pure."""

from mta.compose.spec import Addressee
from mta.delivery.reference import Reference
from mta.flow.work import Ref, Work
from mta.intake.admission import AdmittedRecipient
from mta.model.outcome import SOURCE_BLOCKED, BounceClass, Expired


def reference(work: Work, position: int, recipient: AdmittedRecipient) -> Ref:
    """`position` is the place in the source message."""
    admitted = work.admitted
    person = recipient.recipient
    last = recipient.last
    is_avoided = last is not None and last.bounce_class in SOURCE_BLOCKED
    addressee = Addressee(
        index=recipient.index,
        key=recipient.key,
        email=recipient.mailbox.text,
        name=person.name,
        recipient_id=person.id,
        data=bytes(person.data),
    )
    return Reference(
        work,
        position,
        spec=work.spec,
        addressee=addressee,
        domain=recipient.mailbox.domain,
        lane=admitted.lane,
        sender=work.sender,
        pool=admitted.pool,
        tls=admitted.payload.tls,
        expires_at=admitted.expires_at,
        attempt=recipient.attempt,
        source="" if is_avoided else recipient.source,
        avoided=recipient.source if is_avoided else "",
        is_dry_run=admitted.payload.dry_run,
    )


def expired(ref: Ref, now: float) -> Expired:
    """With what stood in the way at the last attempt."""
    last = ref.owner.admitted.recipients[ref.position].last
    known = last is not None and last.bounce_class in BounceClass.__members__.values()
    return Expired(now, BounceClass(last.bounce_class) if known and last is not None else None)
