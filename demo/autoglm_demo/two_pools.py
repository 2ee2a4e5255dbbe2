"""Example 01 with the real engines: questions through the `openai` client, then a peak up and down."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from autoglm_api.spec import Spec
from autoglm_demo import access, chat, checks
from autoglm_demo.checks import Bounds
from autoglm_demo.figures import Phase
from autoglm_demo.load import Traffic
from autoglm_demo.samples import most_ready, settled
from autoglm_demo.stage import Stage, Target, endless, until
from autoglm_demo.wire import Wire
from autoglm_localcluster.paths import REPOSITORY
from autoglm_shop.task import Kind, demo_queries

SHOP: Final = Target("shop", "shop-assistant")
EXAMPLE: Final = "01-two-pools"
PROMPTS: Final = 240
PROMPTS_AT_ONCE: Final = 8
SEED: Final = 2026
MARGIN_POINTS: Final = 12.0  # two standard deviations of 70 % of 60 answers
ROUTING_PERCENT: Final = 85.0
# Enough open queries for three replicas of each pool, on any machine: a closed loop adapts to how fast it is.
SHOPPERS: Final = 10
PEAK_SECONDS: Final = 75.0
PLATEAU_SECONDS: Final = 10.0
SHRINK_SECONDS: Final = 120.0


async def questions(stage: Stage, spec: Spec) -> None:
    """Send varied held-out prompts with the unmodified `openai` client and check who answered, and how well."""
    note = f"{PROMPTS} held-out prompts, {PROMPTS_AT_ONCE} at a time, every fourth as a stream, by the `openai` client."
    async with (
        stage.phase(Phase("questions", "Questions to two real pools", note=note)) as phase,
        access.gateway(stage.cluster, stage.kube, SHOP.namespace, SHOP.name) as address,
    ):
        await chat.ask_all(address.url, SHOP.name, demo_queries(SEED, PROMPTS), PROMPTS_AT_ONCE, phase.records)
        pools = {pool.name: Kind(pool.serves) for pool in spec.pools}
        phase.checks += [
            checks.all_answered(phase.records, PROMPTS),
            checks.both_pools_answered(phase.records, list(pools)),
            checks.routing(phase.records, pools, ROUTING_PERCENT),
            checks.simulation_declared(phase.records, simulated=False),
        ]
        for pool in spec.pools:
            kind = Kind(pool.serves)
            percent = evaluated_percent(pool.model.name, kind)
            phase.checks.append(checks.correctness(phase.records, pool.name, kind, percent, MARGIN_POINTS))


async def peak(stage: Stage, spec: Spec) -> None:
    """Fill the shop until both pools grow, then empty it and watch them shrink while a few shoppers stay."""
    note = f"{SHOPPERS} shoppers per class, each asking one question after the other (closed loop); then one per class."
    bounds = {pool.name: Bounds(pool.scaling.min_replicas, pool.scaling.max_replicas) for pool in spec.pools}
    async with (
        stage.phase(Phase("peak", "A traffic peak on real engines", note=note)) as phase,
        access.gateway(stage.cluster, stage.kube, SHOP.namespace, SHOP.name) as address,
    ):
        traffic = Traffic(Wire(*address), SHOP.name)
        traffic.start()
        async with stage.watched(phase, traffic, SHOP):
            async with _shoppers(traffic, SHOPPERS):
                await until(lambda: _full(phase, bounds), PEAK_SECONDS)
                await asyncio.sleep(PLATEAU_SECONDS)
            async with _shoppers(traffic, 1):
                await until(lambda: _small(phase, bounds), SHRINK_SECONDS)
        traffic.wire.close()
        phase.checks.append(checks.all_answered(phase.records, PROMPTS))
        phase.checks += [checks.grew(phase.samples, pool, bound) for pool, bound in bounds.items()]
        phase.checks += [checks.shrank(phase.samples, pool, bound) for pool, bound in bounds.items()]


@asynccontextmanager
async def _shoppers(traffic: Traffic, count: int) -> AsyncIterator[None]:
    """So many shoppers of each class for as long as the block lasts."""
    async with (
        traffic.shoppers(count, endless(SEED, Kind.SIMPLE)),
        traffic.shoppers(count, endless(SEED, Kind.COMPLEX)),
    ):
        yield


def _full(phase: Phase, bounds: dict[str, Bounds]) -> bool:
    return all(most_ready(phase.samples, pool) >= bound.largest for pool, bound in bounds.items())


def _small(phase: Phase, bounds: dict[str, Bounds]) -> bool:
    return all(settled(phase.samples, pool, bound.smallest) for pool, bound in bounds.items())


def evaluated_percent(model: str, kind: Kind) -> float:
    """What the committed evaluation of a model says about a kind, in percent."""
    evaluation = json.loads((REPOSITORY / "models" / "artifacts" / model / "evaluation.json").read_text())
    return 100 * float(evaluation["kinds"][kind.value]["accuracy"])
