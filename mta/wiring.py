"""What the daemon's parts are built with, out of the configuration."""

from mta.config.settings import Config
from mta.events.operations import Operations
from mta.flow.settings import FlowSettings
from mta.inbound.recorder import RecorderSettings
from mta.suppression.guard import GUARDED, Guarded


def flow_settings(config: Config) -> FlowSettings:
    return FlowSettings(
        node=config.node.name,
        intake=config.intake,
        rules=config.rules(),
        retry=config.retry,
        shaping=config.shaping,
        recipient_form=config.events.recipient,
        index_recipients=config.index_recipients,
        hash_keys=config.hash_keys,
        token_keys=config.keys.tokens,
        max_unkept_bytes=config.events.max_unkept_bytes,
    )


def recorder_settings(config: Config) -> RecorderSettings:
    return RecorderSettings(config.node.name, config.events.recipient, config.hash_keys, config.keys.tokens)


def tell_guarded(operations: Operations, guarded: Guarded) -> None:
    """So many there are said to be unknown that it can hardly be true."""
    usual = "" if guarded.usual < 0 else f"{guarded.usual:.1%}"
    found = f"{guarded.invalid} of {guarded.count}"
    operations.tell(GUARDED, domain=guarded.domain, invalid=found, usual=usual)
