"""Records over time: what the plots draw. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from autoglm_demo.records import Record, quantile


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal time bins from 0; `seconds` wide, `count` of them."""

    seconds: float
    count: int

    @property
    def middles(self) -> list[float]:
        """Middle of each bin."""
        return [(number + 0.5) * self.seconds for number in range(self.count)]

    def index(self, at: float) -> int:
        """Bin of a moment; what lies outside belongs to the first or last."""
        return min(max(int(at / self.seconds), 0), self.count - 1)


def bins_for(last: float, most: int = 60) -> Bins:
    """Bins that cover 0..last with at most `most` of them, at least a second wide."""
    seconds = max(1.0, round(last / most + 0.5)) if last > most else 1.0
    return Bins(seconds, max(int(last / seconds) + 1, 1))


def per_second(moments: Sequence[float], bins: Bins) -> list[float]:
    """Events per second in each bin."""
    counts = [0] * bins.count
    for moment in moments:
        counts[bins.index(moment)] += 1
    return [count / bins.seconds for count in counts]


def quantiles(records: Sequence[Record], bins: Bins, share: float) -> list[float | None]:
    """Quantile of the latency of answered queries by the bin in which they were sent; None where there are none."""
    groups: list[list[float]] = [[] for _ in range(bins.count)]
    for record in records:
        if record.answered:
            groups[bins.index(record.sent)].append(record.seconds)
    return [quantile(sorted(group), share) if group else None for group in groups]


def split_by(records: Sequence[Record], key: Callable[[Record], str]) -> dict[str, list[Record]]:
    """Group records by a key, in the key's order; records without one are left out."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        if name := key(record):
            groups.setdefault(name, []).append(record)
    return dict(sorted(groups.items()))
