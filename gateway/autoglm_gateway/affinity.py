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

    def __init__(self, addresses: Mapping[Address, Replica]) -> None:
        points = [
            (_point(f"{address.host}:{address.port}#{number}"), address)
            for address in addresses
            for number in range(_POINTS)
        ]
        self._points = sorted(points)
        self._replicas = addresses

    def owner(self, prefix: int, cap: int, now: float) -> Replica | None:
        """Return the replica of a prefix that has room and stays within the load, or None."""
        count = len(self._replicas)
        total = sum(replica.in_flight for replica in self._replicas.values()) + 1
        most = min(cap, -(-total * LOAD_PERCENT // (100 * max(1, count))))
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
