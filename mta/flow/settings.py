"""What the life of a payload is governed by."""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct

from mta.events.settings import RecipientForm
from mta.intake.admission import Rules
from mta.intake.settings import IntakeSettings
from mta.model.token import TokenKey
from mta.pacing.shaping import Shaping
from mta.queue.settings import RetrySettings


class FlowSettings(Struct, frozen=True, kw_only=True):
    """`index_recipients` is how much of an address MTA_INDEX keeps; `hash_keys` are by tenant."""

    node: str
    intake: IntakeSettings
    rules: Rules
    retry: RetrySettings
    shaping: Shaping = Shaping()
    recipient_form: RecipientForm = RecipientForm.FULL
    index_recipients: Literal["full", "hash", "none"] = "full"
    hash_keys: Mapping[str, bytes] = {}
    token_keys: tuple[TokenKey, ...] = ()
    max_unkept_bytes: int = 16 << 20
