"""What all paths of a channel share: what is known of hosts, what refusals mean, chance, tasks, limits, and whom to
tell."""

from collections.abc import Callable, Coroutine
from random import Random
from typing import Any

from msgspec import Struct

from mta.classify.classifier import Classifier
from mta.delivery.hosts import HostMemory
from mta.delivery.reference import Reference, Settlement
from mta.model.path import EgressPath
from mta.model.tls import TlsSession
from mta.pacing.governors import Governors
from mta.queue.settings import Fairness

Spawn = Callable[[Coroutine[Any, Any, None], str], None]


class Around(Struct, frozen=True):
    """All of it is called synchronously. `on_settled` takes each reference once, `on_hungry` the path that wants
    messages composed, `is_moved` what stalls on a path: whether another one is looked for; `on_policy_failed` a domain
    whose own policy kept its mail back; `on_tls_session` None: nobody wants to know. `tell_operators(type, **fields)`
    is for MTA_OPS. `fair` is how those who wait share a path."""

    hosts: HostMemory
    classifier: Classifier
    rng: Random
    spawn: Spawn
    may_send: Callable[[], bool]
    on_settled: Callable[[Reference[Any], Settlement], None]
    on_hungry: Callable[[Any], None]
    is_moved: Callable[[EgressPath, str, list[Reference[Any]]], bool]
    on_policy_failed: Callable[[str], None]
    tell_operators: Callable[..., None]
    governors: Governors
    on_tls_session: Callable[[TlsSession], None] | None = None
    fair: Fairness = Fairness()
