from mta.config.document import Document
from mta.events.settings import EventSettings
from mta.queue.settings import RetrySettings


def test_the_document_has_the_stages_defaults() -> None:
    """An empty file means what the stages would do on their own; more of it in test_assemble."""
    document, retry = Document(), RetrySettings()
    assert tuple(document.retry.bulk.schedule) == retry.bulk.delays_s
    assert tuple(document.retry.transactional.schedule) == retry.transactional.delays_s
    assert document.events.recipient == EventSettings().recipient
