"""Refusals that are no reason by themselves, in MTA_STRIKES: under the key of the address or domain, as in
MTA_SUPPRESSION, all of its strikes. The bucket lets go of a key 45 days after its last one."""

from mta.jetstream.errors import Conflict, JetStreamUnavailable
from mta.jetstream.kv import Bucket
from mta.model.times import moment
from mta.suppression.decide import Accusation, decode_strikes, encode_strikes, is_out, with_strike

_TRIES = 20


class Strikes:
    """Raises JetStreamError where the bucket cannot be asked or told."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    async def strike(self, key: str, accusation: Accusation) -> bool:
        """Counts it, once however often it comes, and says whether it is enough. One of before they were forgotten
        does not count."""
        for _ in range(_TRIES):
            last = await self._bucket.last(key)
            if last is not None and last.removed_at > moment(accusation.mark.at):
                return False
            before = decode_strikes(last.value if last is not None else None)
            after = with_strike(before, accusation)
            if after != before:
                try:
                    await self._bucket.replace(
                        key, encode_strikes(after), last.sequence if last is not None else 0
                    )
                except Conflict:
                    continue
            return is_out(after, accusation)
        raise JetStreamUnavailable(f"{key}: too many strike it at once")

    async def forget(self, key: str) -> None:
        """Also those there are not yet: they may be of events that are read late."""
        await self._bucket.delete(key)
