"""Which pool of a class, and which replica of a pool. Pure: time is an argument (seconds)."""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_FIRST_BACKOFF_SECONDS: Final = 0.5
_MAX_BACKOFF_SECONDS: Final = 10.0
_BAD_IN_A_ROW: Final = 5
# Prompt tokens up to which queries are of one length: engines batch such ones with the least padding.
LENGTH_BOUNDS: Final = (511, 1024)


class Address(NamedTuple):
    """Where a replica listens."""

    host: str
    port: int


@dataclass(slots=True, eq=False)
class Replica:
    """A ready replica as this gateway knows it; counts are of this gateway's own queries."""

    address: Address
    revision: str = ""
    in_flight: int = 0
    failures: int = 0
    shunned_until: float = 0.0
    last_used: int = 0
    probed: bool = False
    bad: int = 0
    """Bad answers in a row: its own errors, and streams that broke off."""
    work: int = 0
    """Predicted tokens of its answers that have not come yet."""
    lengths: list[int] = field(default_factory=lambda: [0] * (len(LENGTH_BOUNDS) + 1))
    """Queries in flight by length of prompt."""

    def taken(self) -> None:
        """Count a query that is sent; the first one after a failure is a probe."""
        self.in_flight += 1
        self.probed = self.failures > 0

    def given_back(self) -> None:
        """Count the end of a query."""
        self.in_flight -= 1
        self.probed = False

    def shun(self, until: float) -> None:
        """Send nothing new before `until`; the replica said that it is busy or going."""
        self.shunned_until = max(self.shunned_until, until)

    def failed(self, now: float) -> None:
        """Note a failure: back off twice as long with each one in a row, 0.5 to 10 seconds.

        Queries that are lost together are one failure: while the replica backs off, it cannot fail anew.
        """
        if self.failures and now < self.shunned_until:
            return
        self.shun(now + min(_MAX_BACKOFF_SECONDS, _FIRST_BACKOFF_SECONDS * 2.0**self.failures))
        self.failures = min(self.failures + 1, 8)

    def answered(self) -> None:
        """Note that the replica answers."""
        self.failures = 0

    def ended(self, *, good: bool) -> bool:
        """Note the end of an answer; True when too many were bad to take it for the fault of the queries."""
        self.bad = 0 if good else self.bad + 1
        return self.bad >= _BAD_IN_A_ROW

    def has_room(self, cap: int, now: float) -> bool:
        """Whether one more query may be sent; after a failure it is one at a time until one succeeds.

        Answers that were streaming before the failure are none of these.
        """
        return now >= self.shunned_until and self.in_flight < cap and not (self.failures and self.probed)


class SmoothWeighted:
    """Smooth weighted round robin (as nginx does it): shares follow the weights without bursts."""

    __slots__ = ("_credit",)

    def __init__(self) -> None:
        self._credit: dict[str, int] = {}

    def pick(self, weights: Mapping[str, int]) -> str:
        """Return the next name; `weights` (all positive, not empty) may change between calls."""
        credit = {name: self._credit.get(name, 0) + weight for name, weight in weights.items()}
        chosen = max(credit, key=lambda name: credit[name])
        credit[chosen] -= sum(weights.values())
        self._credit = credit
        return chosen


def share(cap: int, gateways: int) -> int:
    """Return this gateway's part of a replica's concurrency: ceil(cap / gateways), at least 1.

    >>> share(8, 1), share(8, 3), share(1, 4)
    (8, 3, 1)
    """
    return max(1, -(-cap // max(1, gateways)))


def length_of(prompt_tokens: int) -> int:
    """Return the number of the length that a prompt is of.

    >>> length_of(511), length_of(512), length_of(5000)
    (0, 1, 2)
    """
    return bisect_left(LENGTH_BOUNDS, prompt_tokens)


def least_work(replicas: Iterable[Replica], cap: int, now: float, length: int | None = None) -> Replica | None:
    """Return the replica with the least predicted work left that has room, or None.

    Of equals the one with the fewest queries, then the longest unused. A `length` is given while queries wait: then
    replicas that mostly work on prompts of that length come first, so that their batches stay uniform.
    """
    best = None
    best_key: tuple[bool, int, int, int] | None = None
    for replica in replicas:
        if not replica.has_room(cap, now):
            continue
        mixed = length is not None and 2 * replica.lengths[length] < replica.in_flight
        key = (mixed, replica.work, replica.in_flight, replica.last_used)
        if best_key is None or key < best_key:
            best, best_key = replica, key
    return best
