"""The verdict on a run of the demo: what was asked for, what the events say, what the destinations hold."""

from collections import Counter
from collections.abc import Collection

import dkim
from msgspec import Struct

from mta.demo.policy import Received
from mta.demo.tally import Tally


class Report(Struct, frozen=True):
    """What `--json` prints. `failed` are all terminal events that are neither delivered nor bounced; `lost`
    are recipients without one, or delivered and not at their destination."""

    recipients: int
    delivered: int
    bounced: int
    deferred_seen: int
    failed: int
    duplicates: int
    lost: int
    dkim_verified: int
    msgs_per_s: float


class Verdict(Struct, frozen=True):
    """`faults` in words, none when all is well."""

    report: Report
    faults: tuple[str, ...]


def verifies(message: bytes, name: bytes, record: bytes) -> bool:
    """dkimpy's word on one message; the only key in its DNS is `record` under `name`."""

    def answer(asked: bytes, timeout: float = 5) -> bytes:
        return record if asked.rstrip(b".") == name else b""

    try:
        return bool(dkim.verify(message, dnsfunc=answer))
    except dkim.DKIMException:
        return False


def judge(
    asked: Collection[str],
    tally: Tally,
    accepted: Counter[str],
    signatures: Collection[bool],
    elapsed_s: float,
) -> Verdict:
    """`signatures` are dkimpy's verdicts on the sample, `elapsed_s` from the first payload to the last
    event."""
    delivered = tally.recipients("delivered")
    bounced = tally.recipients("bounced")
    unended = len(asked) - tally.ended
    absent = sum(1 for recipient in delivered if not accepted[recipient])
    report = Report(
        recipients=len(asked),
        delivered=len(delivered),
        bounced=len(bounced),
        deferred_seen=tally.deferred,
        failed=tally.ended - len(delivered) - len(bounced),
        duplicates=sum(number - 1 for number in accepted.values()),
        lost=unended + absent,
        dkim_verified=sum(signatures),
        msgs_per_s=round(tally.ended / elapsed_s, 1) if elapsed_s > 0 else 0.0,
    )
    silent = sum(1 for recipient in accepted if recipient not in delivered)
    found = {
        "recipients without a terminal event": unended,
        "recipients with two terminal events": tally.ended_twice,
        "recipients reported as delivered whose destination has nothing": absent,
        "recipients whose destination accepted and who are not reported as delivered": silent,
        "messages accepted twice": report.duplicates,
        "recipients failed": report.failed,
        "sampled signatures that do not verify": len(signatures) - sum(signatures),
    }
    faults = [f"{number} {what}" for what, number in found.items() if number]
    if not signatures:
        faults.append("no message arrived whose signature could be verified")
    return Verdict(report, tuple(faults))


def sample(kept: list[list[Received]], number: int) -> list[Received]:
    """Up to `number` messages, taken from each destination in turn."""
    longest = max((len(of) for of in kept), default=0)
    return [of[at] for at in range(longest) for of in kept if at < len(of)][:number]
