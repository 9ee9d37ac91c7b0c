"""Between a channel and its owner: tells automation of each attempt that was refused. No I/O."""

from collections.abc import Callable
from typing import Any

from mta.delivery.channel import OnSettled
from mta.delivery.reference import Reference, Settlement
from mta.model.outcome import Bounced, Deferred, Delivered
from mta.pacing.automation import Observation


def observed(on_settled: OnSettled, note: Callable[[Observation], None]) -> OnSettled:
    """`on_settled`, and after it `note` where there was a refusal."""

    def settled(ref: Reference[Any], settlement: Settlement) -> None:
        on_settled(ref, settlement)
        if not isinstance(settlement, Delivered) and isinstance(settlement, Deferred | Bounced):
            attempt = settlement.attempt
            note(
                Observation(
                    attempt.source,
                    ref.provider,
                    attempt.site,
                    attempt.mx_host,
                    ref.sender,
                    settlement.verdict,
                    attempt.reply,
                    attempt.detail,
                )
            )

    return settled
