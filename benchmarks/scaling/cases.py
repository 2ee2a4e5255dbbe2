"""What is replayed: traces (generated ones always, real ones when their files are there) and what goes wrong."""

import gzip
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from autoglm_operator.simulate.generated import generated
from autoglm_operator.simulate.trace_files import read_trace
from autoglm_operator.simulate.traces import Floats, Rates, trailing_mean

PEAK_REPLICAS: Final = 40
"""Replicas that a trace's highest minute needs at 85 %: the capacity of a replica follows from it."""
SMALL: Final = 5
"""The same for traces of a few queries/s, so that a replica answers about one a second there, too."""
HEADROOM: Final = 2.5
"""maxReplicas over the replicas of the highest minute."""
SEEDS: Final = (1, 2, 3)
UNSEEN_SEED: Final = 1001
TREND_SECONDS: Final = 600
EVENING_NAME: Final = "evening"
EVENING: Final = slice(16 * 3600, 24 * 3600)
"""The part of the generated day with its rise, its peak and its fall."""


@dataclass(frozen=True)
class TraceCase:
    """A trace under a name that the tables show; several rates are the same trace with other seeds."""

    name: str
    rates: tuple[Rates, ...]
    validation: bool = False
    """Not used for tuning."""
    peak_replicas: int = PEAK_REPLICAS

    @property
    def capacity_tokens(self) -> float:
        """Tokens/s of one replica."""
        return self.rates[0].peak_tokens() / (0.85 * self.peak_replicas)

    @property
    def max_replicas(self) -> int:
        """Largest size that any policy may ask for."""
        return round(HEADROOM * self.peak_replicas)


@dataclass(frozen=True)
class RealTrace:
    """A file of public data."""

    name: str
    file: str
    service: str = ""
    peak_replicas: int = PEAK_REPLICAS


REAL: Final = (
    RealTrace("m-large ramp 2h", "servegen_gen_mlarge_ramp_2h.csv.gz"),
    RealTrace("R1 24h", "servegen_rates_10min.csv.gz", service="deepseek-r1"),
    RealTrace("azure conv", "azure_2023_conv.csv.gz", peak_replicas=SMALL),
    RealTrace("mooncake", "mooncake_synthetic.csv.gz", peak_replicas=SMALL),
    RealTrace("azure conv, 40", "azure_2023_conv.csv.gz"),
)


def made(*, quick: bool) -> Iterator[TraceCase]:
    """Yield the generated traces, the last one with a seed that nothing was tuned on."""
    names = ("ramp", "bursts", "flash-sale") if quick else ("diurnal", "ramp", "bursts", "flash-sale")
    for name in names:
        yield TraceCase(name, tuple(_generated(name, seed) for seed in (SEEDS[:1] if quick else SEEDS)))
    yield TraceCase("bursts, new seed", (_generated("bursts", UNSEEN_SEED),), validation=True)


def real(directory: Path, *, quick: bool) -> Iterator[TraceCase]:
    """Yield the real traces that are there; says which are not."""
    for trace in REAL[2:4] if quick else REAL:
        path = directory / trace.file
        if not path.exists():
            print(f"left out: {trace.name} ({trace.file} is not in the data directory; see --data)")
            continue
        with gzip.open(path, "rt") as lines:
            read = read_trace(trace.file, lines, np.random.default_rng(SEEDS[0]), service=trace.service)
        yield TraceCase(trace.name, (read.rates,), peak_replicas=trace.peak_replicas)


def evening() -> TraceCase:
    """Return the trace of the fault runs: eight hours with a rise, a peak and a fall."""
    day = _generated("diurnal", SEEDS[0])
    return TraceCase(EVENING_NAME, (Rates(day.queries[EVENING], day.tokens[EVENING]),))


def faults(rates: Rates) -> dict[str, Sequence[str]]:
    """Return the faults of the evaluation protocol, put where they hurt in this trace."""
    mean = trailing_mean(rates.tokens, TREND_SECONDS)
    rise, fall, peak = _steepest(mean), _steepest(-mean), int(mean.argmax())
    return {
        "none": (),
        "5 min without metrics, at the rise": (f"outage@{rise}+300",),
        "5 min without metrics, at the fall": (f"outage@{fall}+300",),
        "30 % of the metrics missing": ("partial:0.3",),
        "operator restarts at the peak, state lost": (f"restart@{peak}+30",),
        "20 % of the replicas lost at the peak": (f"nodeloss@{peak}:0.2",),
        "room for 30 of 40 at the peak, 30 min": (f"quota@{max(0, peak - 900)}+1800:30",),
        "replicas do 30 % less than the profile": ("profile:0.7",),
        "replicas do 30 % more than the profile": ("profile:1.3",),
    }


def _generated(name: str, seed: int) -> Rates:
    return generated(name, np.random.default_rng(seed)).rates


def _steepest(mean: Floats) -> int:
    """Return when the mean has risen most over its window."""
    return int((mean[TREND_SECONDS:] - mean[:-TREND_SECONDS]).argmax()) + TREND_SECONDS // 2
