"""What a refusal says to the pace of the scopes that a path lies in."""

import time

from mta.classify.classifier import Classifier
from mta.delivery.berths import Berths
from mta.model.outcome import Verdict
from mta.model.path import MxHost
from mta.model.reply import Reply
from mta.model.sender import Sender
from mta.pacing.governor import Why
from mta.pacing.passage import Passage
from mta.smtp.opening import ConnectFailed


class Slowing:
    """Of one path. `now` is of the loop's clock."""

    __slots__ = ("_classifier", "_connections", "_passage", "_provider")

    def __init__(self, passage: Passage, connections: Berths, provider: str, classifier: Classifier) -> None:
        self._passage = passage
        self._connections = connections
        self._provider = provider
        self._classifier = classifier

    def not_opened(self, host: MxHost, failure: ConnectFailed, now: float) -> None:
        """A host that refuses a connection says whom it means, before there is mail that it could be about."""
        if failure.reply is not None:
            verdict = self._classifier.classify(
                failure.stage, failure.reply, provider=self._provider, detail=failure.detail
            )
            self.refused(verdict, None, host.name, failure.reply, now)

    def refused(
        self, verdict: Verdict, sender: Sender | None, host: str, reply: Reply | None, now: float
    ) -> None:
        said = f"{reply.code} {reply.text}" if reply is not None else ""
        why = Why(time.time(), said, verdict.bounce_class, verdict.provider_code)
        self._passage.note_refused(verdict, sender, host, self._connections.count_at(host), now, why)
