"""What gateways say of their demand when they are asked themselves: figures of now, and rates from look to look. Pure.

The clock is an argument: seconds of any origin.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from autoglm_api.config import Demand
from autoglm_api.spec import QueryClass
from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import Fresh, NoData, Problem, Reading, total
from autoglm_operator.shell.share import Share

SOURCE: Final = "the gateways themselves"
LONG_SECONDS: Final = 60.0
SHORT_SECONDS: Final = 10.0
_NOT_TOLD: Final = NoData(Problem.MISSING, "the gateway does not tell it")
_NO_GATEWAY: Final = NoData(Problem.MISSING, "no gateway could be asked")
_NO_RATE: Final = NoData(Problem.MISSING, "one look is no rate yet")

Said = Demand | NoData


class Rate:
    """A counter's rate from looks at it; a counter that falls began anew, and after a long gap so does the rate."""

    __slots__ = ("_looks",)

    def __init__(self) -> None:
        self._looks: deque[tuple[float, int]] = deque()

    def look(self, at: float, count: int) -> None:
        """Take in the counter at a time."""
        if self._looks and (count < self._looks[-1][1] or at - self._looks[-1][0] > LONG_SECONDS):
            self._looks.clear()
        self._looks.append((at, count))
        while len(self._looks) > 2 and at - self._looks[1][0] >= LONG_SECONDS:  # noqa: PLR2004 - a rate has two ends
            self._looks.popleft()

    def per_second(self, seconds: float) -> Reading:
        """Return the rate over about the last seconds in thousandths; missing before the second look."""
        end, last = self._looks[-1]
        start, first = next((look for look in reversed(self._looks) if end - look[0] >= seconds), self._looks[0])
        return Fresh(round((last - first) * 1000 / (end - start)), SOURCE) if end > start else _NO_RATE


@dataclass(slots=True)
class Gateway:
    """What one gateway has said, and its rates by pool or class."""

    said: Said = _NOT_TOLD
    asked_at: float = 0.0
    _served: dict[str, Rate] = field(default_factory=dict)
    _offered: dict[str, Rate] = field(default_factory=dict)

    def take(self, said: Said, at: float) -> None:
        """Take in an answer, or why there was none."""
        self.said, self.asked_at = said, at
        if isinstance(said, NoData):
            return
        for pool in said.pools:
            self._served.setdefault(pool.pool, Rate()).look(at, pool.served_tokens)
        for one in said.offered:
            self._offered.setdefault(one.query_class, Rate()).look(at, one.tokens)

    def figure(self, pool: str, name: str) -> Reading:
        """Return a figure of now of a pool: a field of PoolDemand."""
        if isinstance(self.said, NoData):
            return self.said
        told = next((one for one in self.said.pools if one.pool == pool), None)
        return _NOT_TOLD if told is None else Fresh(getattr(told, name) * 1000, SOURCE)

    def served(self, pool: str) -> Reading:
        """Return the tokens/s that a pool finishes."""
        return self._rate(self._served.get(pool), LONG_SECONDS)

    def offered(self, query_class: QueryClass, seconds: float) -> Reading:
        """Return the tokens/s that arrive for a class."""
        return self._rate(self._offered.get(query_class), seconds)

    def _rate(self, rate: Rate | None, seconds: float) -> Reading:
        if isinstance(self.said, NoData):
            return self.said
        return _NOT_TOLD if rate is None else rate.per_second(seconds)


def load_of(gateways: Iterable[Gateway], pool: str, serves: QueryClass, share: Share) -> Load:
    """Return the load of a pool by what all of its gateways said last; no gateway is no data."""
    told = list(gateways)
    if not told:
        return Load(queued=_NO_GATEWAY, in_flight=_NO_GATEWAY)
    return Load(
        queued=total(*(one.figure(pool, "queued") for one in told)),
        in_flight=total(*(one.figure(pool, "in_flight") for one in told)),
        queued_tokens=total(*(one.figure(pool, "queued_tokens") for one in told)),
        offered_tokens=share.of(total(*(one.offered(serves, LONG_SECONDS) for one in told))),
        offered_tokens_now=share.of(total(*(one.offered(serves, SHORT_SECONDS) for one in told))),
        served_tokens=total(*(one.served(pool) for one in told)),
    )
