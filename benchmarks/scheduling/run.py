"""What an order of the queue does to waits: the gateway's own queue in virtual time, in front of a few slots.

    python benchmarks/scheduling/run.py [--queries N] [--seeds N] [--out FILE]

Arms: `arrival` (one tier, who came first), `tiers` (strict tiers), and with tiers `shortest-oracle` (real lengths),
`shortest-predicted` (the gateway's predictor, learning as it goes), `shortest-chance` (predictions that mean nothing:
the queue falls back to arrival), all with ageing, `no-ageing` (oracle without it), `fair` (per tenant). Every arm gets
the same queries. A slot gives one token per step of `TOKEN_SECONDS`, whoever else runs; the first token comes when the
slot is taken plus the prompt's time, so first-token times are waits and prefill.

Load is the share of the slots' capacity that is offered, by Poisson arrivals; `bursts` offers 0.75 in waves of twenty
seconds at double rate, most of them of the tenant `flood`. Lengths are log-normal around a mean per template.
Prints a table of the means over the seeds, and writes every figure as JSON.
"""

import argparse
import heapq
import json
import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import fmean
from typing import Final

from autoglm_api.keys import Tier
from autoglm_gateway.queueing import Order, Policy, WaitingLine, Wish
from autoglm_gateway.queueing.predict import Asked, Predictor

SLOTS: Final = 16
TOKEN_SECONDS: Final = 0.02
PREFILL_SECONDS: Final = 0.0002
LOADS: Final = (0.5, 0.7, 0.85, 0.95)
WAVE_SECONDS: Final = 20.0
TIERS: Final = ((Tier.URGENT, 0.02), (Tier.INTERACTIVE, 0.38), (Tier.NORMAL, 0.4), (Tier.BATCH, 0.2))
TENANTS: Final = (("flood", 0.5), ("shop", 0.25), ("desk", 0.15), ("lab", 0.1))
TEMPLATES: Final = (("brief", 30.0), ("chat", 120.0), ("essay", 500.0))
FLOODED: Final = 0.7  # of a wave's queries
SPREAD: Final = 0.6
LONG_TOKENS: Final = 400
HORIZON: Final = 1e9


@dataclass(frozen=True, slots=True)
class Query:
    """One query and how long its answer really is."""

    number: int
    at: float
    tier: Tier
    tenant: str
    template: str
    prompt: int
    tokens: int

    @property
    def seconds(self) -> float:
        """How long it holds a slot."""
        return self.prompt * PREFILL_SECONDS + self.tokens * TOKEN_SECONDS


@dataclass(frozen=True, slots=True)
class Arm:
    """One way to serve."""

    name: str
    policy: Policy
    tiered: bool = True
    learns: bool = False
    chance: bool = False


_AGED: Final = Policy(order=Order.SHORTEST_REMAINING)
ARMS: Final = (
    Arm("arrival", Policy(), tiered=False),
    Arm("tiers", Policy()),
    Arm("shortest-oracle", _AGED),
    Arm("shortest-predicted", _AGED, learns=True),
    Arm("shortest-chance", _AGED, learns=True, chance=True),
    Arm("no-ageing", Policy(order=Order.SHORTEST_REMAINING, ageing=0.0)),
    Arm("fair", Policy(order=Order.FAIR)),
)


def chosen(rng: Random, shares: tuple[tuple[str, float], ...]) -> str:
    """Draw a name by its share."""
    return rng.choices([name for name, _ in shares], [share for _, share in shares])[0]


def queries(rng: Random, count: int, load: float, *, bursts: bool) -> list[Query]:
    """Draw a day of queries that offer this share of the slots' capacity."""
    drawn = [_drawn(rng, number) for number in range(count)]
    rate = load * SLOTS / fmean(one.seconds for one in drawn)
    now = 0.0
    placed = []
    for one in drawn:
        wave = 1.0 if not bursts else 2.0 if now % (3 * WAVE_SECONDS) < WAVE_SECONDS else 0.5
        now += rng.expovariate(rate * wave)
        tenant = "flood" if wave > 1 and rng.random() < FLOODED else one.tenant
        placed.append(Query(one.number, now, one.tier, tenant, one.template, one.prompt, one.tokens))
    return placed


def _drawn(rng: Random, number: int) -> Query:
    template, mean = rng.choices(TEMPLATES, (0.4, 0.4, 0.2))[0]
    tokens = max(1, min(4000, round(rng.lognormvariate(math.log(mean) - SPREAD**2 / 2, SPREAD))))
    tier = Tier(chosen(rng, TIERS))
    return Query(number, 0.0, tier, chosen(rng, TENANTS), template, round(rng.uniform(20, 800)), tokens)


class Run:
    """One arm in virtual time."""

    def __init__(self, arm: Arm) -> None:
        self.waited: dict[int, float] = {}
        self._arm = arm
        self._line: WaitingLine[Query] = WaitingLine(arm.policy)
        self._predictor = Predictor()
        self._predicted: dict[int, float] = {}
        self._ends: list[tuple[float, int, Query]] = []
        self._rng = Random(1)

    def play(self, asked: list[Query]) -> dict[int, float]:
        """Play the queries; returns the seconds to the first token of each."""
        for query in asked:
            while self._ends and self._ends[0][0] <= query.at:
                self._end()
            self._join(query)
            self._serve(query.at)
        while self._ends:
            self._end()
        return self.waited

    def _join(self, query: Query) -> None:
        tokens = self._predicted[query.number] = self._guess(query)
        tier = query.tier if self._arm.tiered else Tier.NORMAL
        self._line.join(query, Wish(query.at, HORIZON, tier, "", query.tenant, query.prompt / 16 + tokens))

    def _guess(self, query: Query) -> float:
        if self._arm.chance:
            return self._rng.lognormvariate(5, 1)
        return self._predictor.predict(_asked(query)) if self._arm.learns else float(query.tokens)

    def _serve(self, now: float) -> None:
        self._line.expired(now)
        while len(self._ends) < SLOTS and (query := self._line.next(now)) is not None:
            self.waited[query.number] = now - query.at + query.prompt * PREFILL_SECONDS
            heapq.heappush(self._ends, (now + query.seconds, query.number, query))

    def _end(self) -> None:
        now, number, query = heapq.heappop(self._ends)
        if self._arm.learns:
            self._predictor.saw(_asked(query), self._predicted[number], query.tokens)
            self._line.serve_by(self._arm.policy if self._predictor.trusted else Policy())
        self._serve(now)


def _asked(query: Query) -> Asked:
    return Asked(query.tenant, query.template, query.prompt)


def figures(asked: list[Query], waited: dict[int, float]) -> dict[str, float]:
    """Return what is told of one run; times in seconds."""
    told: dict[str, float] = {}
    for tier in Tier:
        times = sorted(waited[query.number] for query in asked if query.tier is tier)
        told[f"{tier} mean"], told[f"{tier} p99"] = fmean(times), _quantile(times, 0.99)
    everybody = sorted(waited.values())
    told["all mean"], told["all p99"], told["longest"] = fmean(everybody), _quantile(everybody, 0.99), everybody[-1]
    told["long p99"] = _quantile(sorted(waited[one.number] for one in asked if one.tokens >= LONG_TOKENS), 0.99)
    told["others mean"] = fmean(waited[one.number] for one in asked if one.tenant != "flood")
    told["jain"] = jain(asked, waited)
    return told


def _quantile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def jain(asked: list[Query], waited: dict[int, float]) -> float:
    """Return Jain's index over the tenants' mean speed (service time in the share of the time that it took)."""
    speeds = defaultdict(list)
    for query in asked:
        speeds[query.tenant].append(query.seconds / (query.seconds + waited[query.number]))
    means = [fmean(values) for values in speeds.values()]
    return sum(means) ** 2 / (len(means) * sum(mean * mean for mean in means))


def study(count: int, seeds: int) -> dict[str, dict[str, dict[str, float]]]:
    """Return the figures by load and arm, as means over the seeds."""
    cases = {f"load {load}": (load, False) for load in LOADS} | {"bursts 0.75": (0.75, True)}
    told: dict[str, dict[str, dict[str, float]]] = {}
    for case, (load, bursts) in cases.items():
        runs = [queries(Random(seed), count, load, bursts=bursts) for seed in range(seeds)]
        told[case] = {}
        for arm in ARMS:
            rows = [figures(asked, Run(arm).play(asked)) for asked in runs]
            told[case][arm.name] = {name: fmean(row[name] for row in rows) for name in rows[0]}
    return told


COLUMNS: Final = (
    "all mean",
    "Urgent p99",
    "Interactive p99",
    "Normal p99",
    "Batch p99",
    "longest",
    "long p99",
    "others mean",
    "jain",
)


def main() -> None:
    """Play, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("build/bench/scheduling.json"))
    arguments = parser.parse_args()
    told = study(arguments.queries, arguments.seeds)
    for case, arms in told.items():
        print(f"{case:<19}" + "".join(f"{name:>16}" for name in COLUMNS))
        for arm, row in arms.items():
            print(f"{arm:<19}" + "".join(f"{row[name]:>16.3f}" for name in COLUMNS))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(
        json.dumps({"queries": arguments.queries, "seeds": arguments.seeds, "told": told}, indent=1)
    )


if __name__ == "__main__":
    main()
