"""What the demo claims, and whether it was so. Pure: records and samples in, verdicts with their evidence out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from autoglm_demo.records import Record, failures
from autoglm_demo.samples import Sample, most_ready, seconds_until, settled
from autoglm_shop.task import Kind


@dataclass(frozen=True, slots=True)
class Check:
    """One claim, whether it held, and the figures that say so."""

    claim: str
    held: bool
    evidence: str


@dataclass(frozen=True, slots=True)
class Bounds:
    """Smallest and largest size of a pool."""

    smallest: int
    largest: int


def all_answered(records: Sequence[Record], at_least: int) -> Check:
    """Enough queries were sent and every one of them was answered."""
    lost = failures(records)
    found = "; ".join(f"{count} x {what}" for what, count in sorted(lost.items())) or "none failed"
    return Check(
        f"at least {at_least} queries were sent and every one was answered",
        len(records) >= at_least and not lost,
        f"{len(records)} sent, {found}",
    )


def correctness(records: Sequence[Record], pool: str, kind: Kind, percent: float, margin: float) -> Check:
    """A pool is as often right as its committed evaluation says, less a margin for the smaller sample."""
    mine = [record for record in records if record.answered and record.pool == pool and record.kind is kind]
    right = 100 * sum(record.correct for record in mine) / len(mine) if mine else 0.0
    return Check(
        f"pool {pool} answers {kind} queries as well as its evaluation says",
        bool(mine) and right >= percent - margin,
        f"{right:.0f} % of {len(mine)} right; evaluation {percent:.0f} %, margin {margin:.0f} points",
    )


def routing(records: Sequence[Record], serves: Mapping[str, Kind], percent: float) -> Check:
    """Queries went to a pool that serves their kind, in at least `percent` of the cases."""
    answered = [record for record in records if record.answered]
    as_meant = sum(serves.get(record.pool) is record.kind for record in answered)
    share = 100 * as_meant / len(answered) if answered else 0.0
    return Check(
        f"at least {percent:.0f} % of the queries went to the pool that serves their kind",
        share >= percent,
        f"{as_meant} of {len(answered)} ({share:.0f} %)",
    )


def both_pools_answered(records: Sequence[Record], pools: Sequence[str]) -> Check:
    """Every pool answered something."""
    counts = {pool: sum(record.answered and record.pool == pool for record in records) for pool in pools}
    evidence = ", ".join(f"{pool} {count}" for pool, count in counts.items())
    return Check("every pool answered queries", all(counts.values()), evidence)


def grew(samples: Sequence[Sample], pool: str, bounds: Bounds) -> Check:
    """A pool grew under load from its smallest size, and never above its largest."""
    first = samples[0].ready(pool) if samples else 0
    most = most_ready(samples, pool)
    since = seconds_until(samples, pool, bounds.smallest + 1)
    when = f", first growth after {since:.0f} s" if since is not None else ""
    return Check(
        f"pool {pool} grew under the peak",
        first == bounds.smallest < most <= bounds.largest,
        f"{first} -> {most} ready (at most {bounds.largest}){when}",
    )


def shrank(samples: Sequence[Sample], pool: str, bounds: Bounds) -> Check:
    """A pool is back at its smallest size at the end."""
    last = f"{samples[-1].ready(pool)} ready at {samples[-1].at:.0f} s" if samples else "never seen"
    return Check(
        f"pool {pool} shrank again", settled(samples, pool, bounds.smallest), f"{last}, {bounds.smallest} asked"
    )


def nodes_filled(samples: Sequence[Sample], nodes: int) -> Check:
    """Every fake GPU node carried a replica at some moment."""
    most = max((sample.nodes for sample in samples), default=0)
    return Check(f"all {nodes} GPU nodes filled", most == nodes, f"at most {most} of {nodes} at once")


def nodes_emptied(samples: Sequence[Sample], kept: int) -> Check:
    """Only the nodes of the smallest sizes are left at the end."""
    left = samples[-1].nodes if samples else -1
    return Check(f"the GPU nodes emptied again to {kept}", left == kept, f"{left} in use at the end")


def few_failures(records: Sequence[Record], percent: float) -> Check:
    """Refusals and failures stayed below a share of all queries."""
    lost = failures(records)
    share = 100 * sum(lost.values()) / len(records) if records else 100.0
    found = "; ".join(f"{count} x {what}" for what, count in sorted(lost.items())) or "none"
    return Check(
        f"at most {percent:g} % of the queries were refused or failed",
        share <= percent,
        f"{share:.2f} % of {len(records)}: {found}",
    )


def simulation_declared(records: Sequence[Record], *, simulated: bool) -> Check:
    """Every answer says whether a simulated replica gave it."""
    answered = [record for record in records if record.answered]
    wrong = sum(record.simulated is not simulated for record in answered)
    claim = "every answer is marked as simulated" if simulated else "no answer is simulated"
    return Check(claim, bool(answered) and not wrong, f"{len(answered)} answers, {wrong} otherwise")
