"""What a scrape sees: the figures of a pool as they were at the last scrape, poorer by the faults."""

from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np

from autoglm_operator.simulate.traces import Rates, trailing_mean

WINDOW_SECONDS: Final = 60
SHORTEST_SECONDS: Final = 5


class Second(NamedTuple):
    """A pool at the end of a second of the trace."""

    queued: float
    in_flight: float
    queued_tokens: float
    served_tokens: float
    """Tokens done in this second."""
    utilization: float
    """Share of the ready replicas' capacity that was used in this second."""
    first_token_p95: float | None = None
    per_token_p95: float | None = None


class Figures(NamedTuple):
    """What a scrape tells."""

    sampled_at: float
    queued: float
    in_flight: float
    queued_tokens: float
    offered_tokens: float
    offered_tokens_now: float
    served_tokens: float
    utilization: float
    offered_queries: float
    first_token_p95: float | None
    per_token_p95: float | None


def _listed(values: np.ndarray, window: int) -> list[float]:
    listed: list[float] = trailing_mean(values, window).tolist()
    return listed


@dataclass(slots=True)
class Meter:
    """Remembers every second and answers with the last scrape."""

    rates: Rates
    scrape_seconds: int
    seconds: list[Second] = field(default_factory=list)
    _offered: list[float] = field(init=False)
    _offered_now: list[float] = field(init=False)
    _queries: list[float] = field(init=False)

    def __post_init__(self) -> None:
        """Average what is offered once: it does not depend on the policy."""
        self._offered = _listed(self.rates.tokens, WINDOW_SECONDS)
        self._offered_now = _listed(self.rates.tokens, self._shortest)
        self._queries = _listed(self.rates.queries, WINDOW_SECONDS)

    @property
    def _shortest(self) -> int:
        return max(SHORTEST_SECONDS, self.scrape_seconds)

    def at(self, now: int) -> Figures | None:
        """Return the figures of the last scrape before `now`; None before the first."""
        scraped = now // self.scrape_seconds * self.scrape_seconds
        if scraped == 0:
            return None
        last = self.seconds[scraped - 1]
        window = self.seconds[max(0, scraped - WINDOW_SECONDS) : scraped]
        recent = window[-self._shortest :]
        return Figures(
            sampled_at=float(scraped),
            queued=last.queued,
            in_flight=last.in_flight,
            queued_tokens=last.queued_tokens,
            offered_tokens=self._offered[scraped - 1],
            offered_tokens_now=self._offered_now[scraped - 1],
            served_tokens=sum(second.served_tokens for second in window) / len(window),
            utilization=sum(second.utilization for second in recent) / len(recent),
            offered_queries=self._queries[scraped - 1],
            first_token_p95=last.first_token_p95,
            per_token_p95=last.per_token_p95,
        )


def without_part(figures: Figures, share: float) -> Figures:
    """Return what is left when a share of the sources does not answer: sums lack it, means and p95 do not."""
    rest = 1.0 - share
    return figures._replace(
        queued=figures.queued * rest,
        in_flight=figures.in_flight * rest,
        queued_tokens=figures.queued_tokens * rest,
        offered_tokens=figures.offered_tokens * rest,
        offered_tokens_now=figures.offered_tokens_now * rest,
        served_tokens=figures.served_tokens * rest,
        offered_queries=figures.offered_queries * rest,
    )
