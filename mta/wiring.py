"""What the daemon's parts are built with, out of the configuration."""

import socket
from collections.abc import Sequence

from mta.config.settings import Config
from mta.events.operations import Operations
from mta.flow.settings import FlowSettings
from mta.inbound.recorder import Recorder, RecorderSettings
from mta.inbound.web import OneClickServer, WebSettings
from mta.model.token import TokenReader
from mta.suppression.guard import GUARDED, Guarded
from mta.suppression.suppressions import Suppressions


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


def one_click(
    config: Config, recorder: Recorder, suppressions: Suppressions, sockets: Sequence[socket.socket]
) -> OneClickServer | None:
    """None where links lead elsewhere, or there are none."""
    http, keys = config.http, config.keys.tokens
    if not (http.public_url and (http.address or sockets) and keys):
        return None
    settings = WebSettings(http.public_url, http.address, http.port, config.titles)
    return OneClickServer(
        TokenReader(keys), recorder.record, settings, sockets, has_left=suppressions.has_left
    )


def tell_guarded(operations: Operations, guarded: Guarded) -> None:
    """So many there are said to be unknown that it can hardly be true."""
    usual = "" if guarded.usual < 0 else f"{guarded.usual:.1%}"
    found = f"{guarded.invalid} of {guarded.count}"
    operations.tell(GUARDED, domain=guarded.domain, invalid=found, usual=usual)
