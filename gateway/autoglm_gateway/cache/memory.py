"""Answers in this process, and which queries were seen before. Pure: time is an argument (seconds since 1970)."""

from collections import OrderedDict

from autoglm_gateway.cache.entry import Entry


class Memory:
    """The answers used last, within a number of bytes and a time to live in seconds."""

    def __init__(self, max_bytes: int, time_to_live: float) -> None:
        self._entries: OrderedDict[bytes, Entry] = OrderedDict()
        self._max_bytes = max_bytes
        self._time_to_live = time_to_live
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def limit(self, max_bytes: int, time_to_live: float) -> None:
        """Take over new bounds."""
        self._max_bytes = max_bytes
        self._time_to_live = time_to_live
        self._shrink()

    def get(self, key: bytes, now: float) -> Entry | None:
        """Return a kept answer that is not too old."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now - entry.stored_at >= self._time_to_live:
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return entry

    def put(self, key: bytes, entry: Entry) -> None:
        """Keep an answer; those unused the longest go. One larger than all the room is not kept."""
        self._drop(key)
        if entry.size > self._max_bytes:
            return
        self._entries[key] = entry
        self.bytes += entry.size
        self._shrink()

    def _shrink(self) -> None:
        while self.bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, key: bytes) -> None:
        entry = self._entries.pop(key, None)
        if entry is not None:
            self.bytes -= entry.size


class Sightings:
    """Which of the last queries were asked more than once: most never come again, and keeping those is a waste."""

    def __init__(self, most: int) -> None:
        self._seen: OrderedDict[bytes, None] = OrderedDict()
        self._most = most

    def __len__(self) -> int:
        return len(self._seen)

    def again(self, key: bytes) -> bool:
        """Note a query; True when it was seen before."""
        known = key in self._seen
        self._seen[key] = None
        self._seen.move_to_end(key)
        if len(self._seen) > self._most:
            self._seen.popitem(last=False)
        return known
