"""What came in and what became of it, counted for the log line at the end."""

from collections import Counter


class Counters:
    """Words are ours, hence few: no peer can add one."""

    def __init__(self) -> None:
        self.connections = 0
        self.turned_away = 0
        self.tls_failed = 0
        self.events: Counter[str] = Counter()
        self.dropped: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()
        self.put_off: Counter[str] = Counter()

    def told(self) -> dict[str, object]:
        """Fields of a log line; a word that never fell is not in it."""
        return {
            "connections": self.connections,
            "turned_away": self.turned_away,
            "tls_failed": self.tls_failed,
            "accepted": self.events.total() + self.dropped.total(),
            "events": dict(self.events),
            "dropped": dict(self.dropped),
            "refused": dict(self.refused),
            "put_off": dict(self.put_off),
        }
