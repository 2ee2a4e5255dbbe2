"""Everything the report says, as one model: written as JSON and shown as a page. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from autoglm_demo.checks import Check
from autoglm_demo.records import Latency, Record, Tally, failures, latency, tallies
from autoglm_demo.samples import Sample
from autoglm_demo.series import Bins, bins_for, per_second, quantiles, split_by


@dataclass(slots=True)
class Phase:
    """One part of the demo, with everything that was seen in it. `name` is a file name, `title` a sentence."""

    name: str
    title: str
    simulated: bool = False
    note: str = ""
    seconds: float = 0.0
    records: list[Record] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)

    @property
    def held(self) -> bool:
        """Whether every claim held."""
        return all(check.held for check in self.checks)


class Figure(BaseModel):
    """A part of the report's JSON."""

    model_config = ConfigDict(frozen=True)


class Series(Figure):
    """Rates and latencies over time; `at` is the middle of each bin in seconds."""

    at: list[float]
    sent_per_second: dict[str, list[float]]
    answered_per_second: dict[str, list[float]]
    p50_seconds: dict[str, list[float | None]]
    p95_seconds: dict[str, list[float | None]]


class PhaseFigures(Figure):
    """All figures of one phase."""

    name: str
    title: str
    simulated: bool
    note: str
    seconds: float
    held: bool
    checks: list[Check]
    sent: int
    answered: int
    failures: dict[str, int]
    latency: Latency
    tallies: list[Tally]
    series: Series | None
    samples: list[Sample]


class DemoFigures(Figure):
    """All figures of one run of the demo."""

    started: str
    seconds: float
    held: bool
    machine: dict[str, str]
    versions: dict[str, str]
    phases: list[PhaseFigures]


def phase_figures(phase: Phase) -> PhaseFigures:
    """Boil a phase down to its figures."""
    answered = sum(record.answered for record in phase.records)
    return PhaseFigures(
        name=phase.name,
        title=phase.title,
        simulated=phase.simulated,
        note=phase.note,
        seconds=round(phase.seconds, 1),
        held=phase.held,
        checks=phase.checks,
        sent=len(phase.records),
        answered=answered,
        failures=failures(phase.records),
        latency=latency(phase.records),
        tallies=list(tallies(phase.records)),
        series=series(phase.records) if phase.records else None,
        samples=phase.samples,
    )


def series(records: Sequence[Record]) -> Series:
    """Rates by kind and pool, and latency by pool, over time."""
    bins = bins_for(max(record.done for record in records))
    pools = split_by([record for record in records if record.answered], lambda record: record.pool)
    return Series(
        at=bins.middles,
        sent_per_second=_rates(split_by(records, lambda record: record.kind), bins, done=False),
        answered_per_second=_rates(pools, bins, done=True),
        p50_seconds={pool: quantiles(mine, bins, 0.5) for pool, mine in pools.items()},
        p95_seconds={pool: quantiles(mine, bins, 0.95) for pool, mine in pools.items()},
    )


def _rates(groups: dict[str, list[Record]], bins: Bins, *, done: bool) -> dict[str, list[float]]:
    return {
        name: per_second([record.done if done else record.sent for record in group], bins)
        for name, group in groups.items()
    }
