"""A key-value bucket in memory, with the reach of `mta.jetstream.kv.Bucket` that stages use."""

from mta.jetstream.kv import Entry


class FakeBucket:
    """`gets` counts reads, for tests of caches; `stale` keys are missing on replicas and there on the leader."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._sequence = 0
        self.gets: list[str] = []
        self.stale: set[str] = set()

    async def get(self, key: str, *, leader: bool = False) -> Entry | None:
        self.gets.append(key)
        if key in self.stale and not leader:
            return None
        return self._entries.get(key)

    async def put(self, key: str, value: bytes) -> int:
        self._sequence += 1
        self._entries[key] = Entry(key, value, self._sequence)
        return self._sequence

    async def create(self, key: str, value: bytes) -> bool:
        if key in self._entries:
            return False
        await self.put(key, value)
        return True

    async def delete(self, key: str) -> None:
        self._sequence += 1
        self._entries.pop(key, None)

    async def keys(self, prefix: str = "") -> list[str]:
        return sorted(key for key in self._entries if not prefix or key.startswith(f"{prefix}."))
