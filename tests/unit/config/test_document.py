from mta.config.document import Document
from mta.events.settings import EventSettings
from mta.model.suppression import SuppressReason
from mta.queue.settings import RetrySettings
from mta.suppression.settings import SuppressionSettings


def test_the_document_has_the_stages_defaults() -> None:
    """An empty file means what the stages would do on their own; more of it in test_assemble."""
    document, retry = Document(), RetrySettings()
    assert tuple(document.retry.bulk.schedule) == retry.bulk.delays_s
    assert tuple(document.retry.transactional.schedule) == retry.transactional.delays_s
    assert document.events.recipient == EventSettings().recipient
    kept = SuppressionSettings()
    assert document.suppression.addresses == kept.addresses
    assert [
        float(getattr(document.suppression, reason)) for reason in SuppressReason if reason != "manual"
    ] == [kept.lasts_s(reason) for reason in SuppressReason if reason != "manual"]
