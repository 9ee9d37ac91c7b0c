"""`mta.flow.references`."""

import pytest
from msgspec.structs import replace

from mta.flow.references import reference
from mta.model.payload import LastTry
from tests.unit.flow.works import work


@pytest.mark.parametrize(
    ("last", "kept", "avoided"),
    [("greylisted", "a1", ""), ("ip_blocked", "", "a1"), ("infrastructure_dns", "", "a1"), ("", "a1", "")],
)
def test_a_source_is_kept_or_avoided_by_what_the_last_attempt_met(last: str, kept: str, avoided: str) -> None:
    """Greylisting knows us by address; a block is of the address."""
    one = work(1)
    recipient = replace(
        one.admitted.recipients[0], source="a1", last=LastTry(bounce_class=last) if last else None
    )
    ref = reference(one, 0, recipient)
    assert (ref.source, ref.avoided) == (kept, avoided)


def test_a_reference_says_whose_mail_it_is() -> None:
    """All references of a payload share one record of it."""
    one = work(2, stream="receipts")
    refs = [reference(one, position, recipient) for position, recipient in enumerate(one.admitted.recipients)]
    sender = refs[0].sender
    assert (sender.tenant, sender.campaign, sender.stream) == ("acme", "spring-sale", "receipts")
    assert sender.from_domain == "acme.test"
    assert refs[1].sender is sender
