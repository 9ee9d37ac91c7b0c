"""Payloads in work to start from."""

from typing import Any

from mta.compose.spec import Addressee, SpecBlob
from mta.delivery.reference import Reference
from mta.events.settings import RecipientForm
from mta.flow.settings import FlowSettings
from mta.flow.told import Teller
from mta.flow.work import Lease, Received, Ref, Work
from mta.intake.admission import Admitted
from mta.intake.settings import IntakeSettings
from mta.jetstream.pull import Pulled
from mta.ledger.page import NoSlot, Page
from mta.ledger.snapshot import Entry
from mta.ledger.state import Source
from mta.model.payload import StoredContent
from mta.model.sender import Sender
from mta.queue.settings import RetrySettings
from mta.suppression.seal import Seal
from tests.unit.intake.payloads import RULES, judged, people


def settings(**changes: Any) -> FlowSettings:
    fields: dict[str, Any] = {
        "node": "n1",
        "intake": IntakeSettings(),
        "rules": RULES,
        "retry": RetrySettings(),
        "recipient_form": RecipientForm.FULL,
    }
    return FlowSettings(**(fields | changes))


def admitted(count: int = 3, **changes: Any) -> Admitted:
    result = judged(**({"recipients": people(count), "id": "order-1"} | changes))
    assert isinstance(result, Admitted), result
    return result


class Always:
    """A gate that is open, unless it is told otherwise."""

    def __init__(self) -> None:
        self.is_open = True

    def permits(self, until: float) -> bool:
        return self.is_open and until > 0


def work(count: int = 3, *, past: Entry | None = None, gate: Always | None = None, **changes: Any) -> Work:
    one = admitted(count, **changes)
    pulled = Pulled(
        "mta.payload.bulk.acme.spring-sale", b"", {}, "reply", "MTA_PAYLOADS", "c", 7, 1, 0, 0, 0.0
    )
    received = Received(StoredContent(content=one.payload.content), SpecBlob(b"", b""))
    page = Page(Source("MTA_PAYLOADS", 7, 0), past, len(one.recipients), NoSlot(), lambda: None)
    common = Teller(settings(), Seal(())).common(one)
    return Work(pulled, one, received, common, page, Lease("reply", 0.0, 1.0), gate or Always())


def reference(owner: Work, position: int) -> Ref:
    recipient = owner.admitted.recipients[position]
    return Reference(
        owner,
        position,
        spec=owner.spec,
        addressee=Addressee(recipient.index, recipient.key, recipient.mailbox.text),
        domain=recipient.mailbox.domain,
        lane=owner.admitted.lane,
        sender=Sender("t"),
        pool="default",
        tls="none",
        expires_at=owner.admitted.expires_at,
    )
