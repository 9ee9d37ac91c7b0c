"""DNS as a dict, for checks that ask by yielding: (name, type) to the values of the records, or to a trouble."""

from collections import Counter

from mta.admin.preflight.question import Found, Question, Reply, Steps

Zone = dict[tuple[str, str], tuple[str, ...] | str]
"""A tuple are values, a str is the trouble. A name that is nowhere does not exist."""


class DictDns:
    """`asked` counts questions by (name, type)."""

    def __init__(self, zone: Zone) -> None:
        self._zone = {(name.lower(), kind): value for (name, kind), value in zone.items()}
        self.asked: Counter[tuple[str, str]] = Counter()

    def run(self, steps: Steps[Found]) -> Found:
        reply: Reply | None = None
        while True:
            try:
                question = steps.send(reply) if reply is not None else next(steps)
            except StopIteration as ended:
                found: Found = ended.value
                return found
            reply = self.reply(question)

    def reply(self, question: Question) -> Reply:
        key = (question.name.lower(), question.kind)
        self.asked[key] += 1
        value = self._zone.get(key)
        if value is None:
            return Reply(is_missing=not any(name == key[0] for name, _ in self._zone))
        return Reply(trouble=value) if isinstance(value, str) else Reply(value)


def ask(zone: Zone, steps: Steps[Found]) -> Found:
    """What the check finds in this zone."""
    return DictDns(zone).run(steps)
