"""Traces that the project generates itself: a day, a ramp, bursts, a flash sale.

Counts per second are negative binomial around a curve: variance = mean * (1 + mean / SHAPE), so they are burstier than
Poisson at every scale, as real services are (ServeGen, arXiv 2505.09999).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from autoglm_operator.simulate.traces import Floats, Rates, Trace, TraceError

SHAPE: Final = 40.0
"""Gamma shape of the rate's noise: a coefficient of variation of 0.16 on top of Poisson's."""
NOISE_SECONDS: Final = 10
"""How long one draw of the rate's noise lasts."""
TOKENS_PER_QUERY: Final = 500.0
TOKENS_SPREAD: Final = 0.8
"""Sigma of the lognormal sizes of queries."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A generated trace: its mean rate at each second."""

    seconds: int
    curve: Callable[[Floats, np.random.Generator], Floats]
    """Queries/s for seconds of the trace."""


def _diurnal(at: Floats, _: np.random.Generator) -> Floats:
    """Return a day of a consumer service: lowest at 04:00, two humps, 5 to 60 queries/s."""
    hour = at / 3600
    day = 0.5 - 0.5 * np.cos((hour - 4) * math.pi / 12)
    evening = np.exp(-(((hour - 20.5) / 1.8) ** 2))
    return np.asarray(5 + 42 * day + 16 * evening, dtype=np.float64)


def _ramp(at: Floats, _: np.random.Generator) -> Floats:
    """Return ten quiet minutes, an hour from 12 to 48 queries/s, and fifty minutes at the top."""
    return np.asarray(12 + 36 * np.clip((at - 600) / 3600, 0, 1), dtype=np.float64)


def _bursts(at: Floats, rng: np.random.Generator) -> Floats:
    """Return 15 queries/s with a burst of 30 to 300 s at two to four times that about every six minutes."""
    rate, start = np.full(len(at), 15.0), 0.0
    while (start := start + rng.exponential(360)) < len(at):
        stop = start + rng.uniform(30, 300)
        rate[int(start) : int(stop)] = 15 * rng.uniform(2, 4)
        start = stop
    return rate


def _flash_sale(at: Floats, _: np.random.Generator) -> Floats:
    """Return a sale at 20 min: ten times the rate within a minute, halved every eight minutes."""
    sale = np.clip((at - 1200) / 60, 0, 1) * np.exp2(-np.clip(at - 1260, 0, None) / 480)
    return np.asarray(5 + 45 * sale, dtype=np.float64)


SHAPES: Final = {
    "diurnal": Shape(86400, _diurnal),
    "ramp": Shape(7200, _ramp),
    "bursts": Shape(7200, _bursts),
    "flash-sale": Shape(5400, _flash_sale),
}


def generated(name: str, rng: np.random.Generator) -> Trace:
    """Return a generated trace by name; raises TraceError."""
    shape = SHAPES.get(name)
    if shape is None:
        raise TraceError(f"no generated trace {name!r}; there are {', '.join(SHAPES)}")
    curve = shape.curve(np.arange(shape.seconds, dtype=np.float64), rng)
    return Trace(f"generated:{name}", noisy(curve, np.full(shape.seconds, TOKENS_PER_QUERY), rng))


def noisy(queries: Floats, tokens_per_query: Floats, rng: np.random.Generator, idc: Floats | None = None) -> Rates:
    """Return rates by chance around a mean: gamma noise that lasts, Poisson counts, lognormal sizes of queries.

    `idc` is the index of dispersion of the counts over long windows at each second; without it the noise is SHAPE's.
    """
    mean = queries[::NOISE_SECONDS]
    excess = np.maximum(idc[::NOISE_SECONDS] - 1, 1e-3) if idc is not None else mean * NOISE_SECONDS / SHAPE
    shape = np.maximum(mean * NOISE_SECONDS, 1e-9) / np.maximum(excess, 1e-9)
    noise = np.repeat(rng.gamma(shape, 1 / shape), NOISE_SECONDS)[: len(queries)]
    counts = rng.poisson(queries * noise).astype(np.float64)
    return Rates(counts, tokens_per_query * _sizes(counts, rng))


def _sizes(counts: Floats, rng: np.random.Generator) -> Floats:
    """Return the summed relative sizes of so many queries: lognormal sums, drawn as gamma sums of equal variance."""
    variance = math.expm1(TOKENS_SPREAD**2)
    sizes = rng.gamma(np.maximum(counts, 1e-9) / variance, variance)
    return np.where(counts > 0, sizes, 0.0)
