"""Which replica has seen a prefix before: consistent hashing with bounded loads (Mirrokni et al., arXiv 1608.01350).

Every replica has points on a ring; a prefix belongs to the next point after its hash. A replica that would have more
than 125 % of the mean load passes it on to the next one of the ring. When a replica comes or goes, only the prefixes
between its points and the ones before them move. Pure.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from typing import Final

from autoglm_gateway.balance import Address, Replica

LOAD_PERCENT: Final = 125
_POINTS: Final = 32
_RING: Final = 1 << 64


class Ring:
    """The points of some replicas."""

    def __init__(self, replicas: Mapping[Address, Replica] | None = None) -> None:
        self._points: list[tuple[int, Address]] = []
        self._replicas: Mapping[Address, Replica] = {}
        self.follow(replicas or {})

    def follow(self, replicas: Mapping[Address, Replica]) -> None:
        """Take over the ready replicas; the points of those that stay are not computed again."""
        kept = [point for point in self._points if point[1] in replicas]
        new = [
            (_point(f"{address.host}:{address.port}#{number}"), address)
            for address in replicas
            if address not in self._replicas
            for number in range(_POINTS)
        ]
        self._points = sorted([*kept, *new])
        self._replicas = dict(replicas)

    def owner(self, prefix: int, cap: int, now: float, in_flight: int | None = None) -> Replica | None:
        """Return the replica of a prefix that has room and stays within the load, or None.

        `in_flight` is how many queries the replicas have together, where the caller knows.
        """
        if in_flight is None:
            in_flight = sum(replica.in_flight for replica in self._replicas.values())
        most = min(cap, -(-(in_flight + 1) * LOAD_PERCENT // (100 * max(1, len(self._replicas)))))
        for replica in self._walk(prefix):
            if replica.has_room(most, now):
                return replica
        return None

    def _walk(self, prefix: int) -> Iterator[Replica]:
        """Yield every replica once, in the order of the ring from the prefix on."""
        start = bisect_left(self._points, prefix % _RING, key=lambda point: point[0])
        seen: set[Address] = set()
        for number in range(len(self._points)):
            address = self._points[(start + number) % len(self._points)][1]
            if address not in seen:
                seen.add(address)
                yield self._replicas[address]


def prefix_of(tenant: str, prompt: str) -> int:
    """Return the place of a tenant's system prompt on the ring, never 0; 0 where there is none."""
    return _point(f"{tenant}\n{prompt}") or 1 if prompt else 0


def _point(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big")
