"""What events say: from a payload in work and a settlement to (subject, line) pairs for the event stream."""

from mta.classify.classifier import classify_local
from mta.delivery.reference import Settlement
from mta.events.encode import CommonFields, Person, encode, payload_event, recipient_event
from mta.events.settings import RecipientForm
from mta.flow.settings import FlowSettings
from mta.flow.work import Ref, Work
from mta.intake.admission import Admitted, RejectedRecipient
from mta.intake.decode import RejectCode, Rejected
from mta.jetstream.subjects import event_subject
from mta.model import ids
from mta.model.event import WHOLE_PAYLOAD, CountsPart, ErrorPart, Event, EventType
from mta.model.lane import Lane
from mta.model.outcome import Bounced, Cancelled, Deferred, Delivered, Expired, Failed, Suppressed
from mta.suppression.seal import Seal

Told = tuple[str, bytes]


class Teller:
    def __init__(self, settings: FlowSettings, seal: Seal) -> None:
        self._settings = settings
        self._seal = seal
        self._subjects: dict[tuple[str, EventType, str, str], str] = {}

    def common(self, admitted: Admitted) -> CommonFields:
        payload = admitted.payload
        return CommonFields(
            node=self._settings.node,
            tenant=admitted.tenant,
            campaign=admitted.campaign,
            stream=admitted.stream,
            lane=admitted.lane,
            payload_id=admitted.payload_id,
            payload_key=admitted.payload_key,
            from_domain=admitted.from_domain,
            pool=admitted.pool,
            tags=payload.tags,
            metadata=payload.metadata,
            form=self._settings.recipient_form,
            hash_key=self._settings.hash_keys.get(admitted.tenant, b""),
            dry_run=payload.dry_run,
        )

    def accepted(self, work: Work) -> Told:
        admitted = work.admitted
        counts = CountsPart(recipients=admitted.recipients_total, rejected=len(admitted.rejected))
        event = payload_event(EventType.ACCEPTED, work.common, at=admitted.accepted_at, counts=counts)
        return self._told(event)

    def rejected_recipient(self, work: Work, recipient: RejectedRecipient) -> Told:
        admitted = work.admitted
        message_id = ids.message_id(admitted.accepted_at, admitted.tenant, admitted.payload_id, recipient.key)
        person = Person(
            message_id=str(message_id),
            email=recipient.email,
            recipient_id=recipient.recipient_id,
            queued_at=admitted.accepted_at,
        )
        event = recipient_event(
            EventType.REJECTED,
            work.common,
            person,
            at=admitted.accepted_at,
            error=ErrorPart(code=recipient.code, text=recipient.detail),
        )
        return self._told(event)

    def rejected(
        self,
        rejected: Rejected,
        *,
        lane: Lane,
        tenant: str,
        campaign: str,
        stream: str,
        sequence: int,
        at: float,
    ) -> Told:
        """Of a payload as a whole, which may not even be readable: what is known of it comes from its subject, and
        from its place in the source stream where it has no id."""
        payload_id = rejected.payload_id or ids.derived_payload_id(at, stream, sequence)
        common = CommonFields(
            node=self._settings.node,
            tenant=tenant,
            campaign=campaign,
            stream="",
            lane=lane,
            payload_id=payload_id,
            payload_key=ids.payload_key(tenant, payload_id),
        )
        event = payload_event(
            EventType.REJECTED,
            common,
            at=at,
            error=ErrorPart(code=rejected.code, text=rejected.detail),
            number=sequence if rejected.code is RejectCode.DUPLICATE else 0,
        )
        return self._told(event)

    def settled(
        self,
        ref: Ref,
        settlement: Settlement,
        at: float,
        next_attempt_at: float = 0.0,
        *,
        is_recovered: bool = False,
    ) -> Told:
        """One recipient's event. `Parked` has none."""
        work = ref.owner
        person = self._person(ref)
        envelope = ref.envelope
        message = envelope.message if envelope is not None else None
        sender = envelope.sender if envelope is not None else ""
        common, provider, number = work.common, ref.provider, ref.attempt
        match settlement:
            case Delivered(attempt=attempt):
                event = recipient_event(
                    EventType.DELIVERED,
                    common,
                    person,
                    at=at,
                    provider=provider,
                    attempt=attempt,
                    message=message,
                    sender=sender,
                    is_recovered=is_recovered,
                )
            case Deferred(attempt=attempt, verdict=verdict) | Bounced(attempt=attempt, verdict=verdict):
                is_deferred = isinstance(settlement, Deferred)
                event = recipient_event(
                    EventType.DEFERRED if is_deferred else EventType.BOUNCED,
                    common,
                    person,
                    at=at,
                    provider=provider,
                    attempt=attempt,
                    verdict=verdict,
                    message=message,
                    sender=sender,
                    next_attempt_at=next_attempt_at,
                    sealed="" if is_deferred else self._sealed(common, person),
                    is_recovered=is_recovered,
                )
            case Expired(last_class=last_class):
                event = recipient_event(
                    EventType.EXPIRED,
                    common,
                    person,
                    at=at,
                    provider=provider,
                    number=number,
                    verdict=classify_local("expired"),
                    last_class=last_class or "",
                    sealed=self._sealed(common, person),
                    is_recovered=is_recovered,
                )
            case Failed(code=code, detail=detail):
                event = recipient_event(
                    EventType.FAILED,
                    common,
                    person,
                    at=at,
                    provider=provider,
                    number=number,
                    verdict=classify_local("failed", code),
                    error=ErrorPart(code=code, text=detail),
                    is_recovered=is_recovered,
                )
            case Cancelled(detail=detail):
                event = recipient_event(
                    EventType.CANCELLED,
                    common,
                    person,
                    at=at,
                    provider=provider,
                    number=number,
                    verdict=classify_local("cancelled", detail),
                    is_recovered=is_recovered,
                )
            case Suppressed(reason=reason):
                event = recipient_event(
                    EventType.SUPPRESSED,
                    common,
                    person,
                    at=at,
                    provider=provider,
                    number=number,
                    verdict=classify_local("suppressed", reason),
                    is_recovered=is_recovered,
                )
            case _:
                raise TypeError(f"no event tells of {settlement!r}")
        return self._told(event)

    def _sealed(self, common: CommonFields, person: Person) -> str:
        """Whoever suppresses must know the address, be it told or not."""
        if common.form is RecipientForm.FULL:
            return ""
        return self._seal.seal(common.tenant, person.address)

    def _person(self, ref: Ref) -> Person:
        admitted = ref.owner.admitted
        recipient = admitted.recipients[ref.position]
        envelope = ref.envelope
        message_id = (
            envelope.message.message_id
            if envelope is not None
            else str(
                ids.message_id(admitted.accepted_at, admitted.tenant, admitted.payload_id, recipient.key)
            )
        )
        return Person(
            message_id=message_id,
            email=recipient.recipient.email,
            address=recipient.mailbox.text,
            domain=recipient.mailbox.domain,
            recipient_id=recipient.recipient.id,
            queued_at=recipient.queued_at,
            tags=recipient.recipient.tags,
            metadata=recipient.recipient.metadata,
        )

    def _told(self, event: Event) -> Told:
        provider = "" if event.provider == WHOLE_PAYLOAD else event.provider
        key = (event.tenant, event.type, provider, event.campaign)
        subject = self._subjects.get(key)
        if subject is None:
            if len(self._subjects) > 10_000:
                self._subjects.clear()
            subject = self._subjects[key] = event_subject(*key)
        return subject, encode(event)
