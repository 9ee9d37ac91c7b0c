from mta.model.suppression import SuppressReason
from mta.suppression.settings import DAY_S, SuppressionSettings


def test_each_reason_has_its_time() -> None:
    """A full mailbox is emptied some day, a domain comes back; the others hold for good, as what is set by hand."""
    lasts = {reason: SuppressionSettings().lasts_s(reason) for reason in SuppressReason}
    assert {reason: s for reason, s in lasts.items() if s} == {
        SuppressReason.MAILBOX_FULL: 90 * DAY_S,
        SuppressReason.INVALID_DOMAIN: 30 * DAY_S,
    }
    every = {f"{reason}_s": 7.0 for reason in SuppressReason if reason is not SuppressReason.MANUAL}
    ours = SuppressionSettings(**every)  # type: ignore[arg-type]
    assert [reason for reason in SuppressReason if ours.lasts_s(reason) != 7.0] == [SuppressReason.MANUAL]
