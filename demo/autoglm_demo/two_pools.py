"""Example 01 with the real engines: questions through the `openai` client, then a peak up and down."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from autoglm_api.spec import Pool, Spec
from autoglm_demo import access, chat, checks, script
from autoglm_demo.checks import Bounds, Check
from autoglm_demo.figures import Phase
from autoglm_demo.load import Traffic, endless
from autoglm_demo.records import Record
from autoglm_demo.samples import most_ready, settled
from autoglm_demo.script import SHOP
from autoglm_demo.stage import Stage, until
from autoglm_demo.wire import Wire
from autoglm_localcluster.paths import REPOSITORY
from autoglm_shop.task import Kind, demo_queries


async def questions(stage: Stage, spec: Spec) -> None:
    """Send varied held-out prompts with the unmodified `openai` client and check who answered, and how well."""
    asked = demo_queries(script.PROMPTS_SEED, script.PROMPTS)
    at_once = script.PROMPTS_AT_ONCE
    note = f"{len(asked)} held-out prompts, {at_once} at a time, every fourth as a stream, by the `openai` client."
    async with (
        stage.phase(Phase("questions", "Questions to two real pools", note=note)) as phase,
        access.gateway(stage.cluster, stage.kube, SHOP.namespace, SHOP.name) as address,
    ):
        await chat.ask_all(address.url, SHOP.name, asked, at_once, phase.records)
        phase.checks += _verdicts(phase.records, spec)


def _verdicts(records: list[Record], spec: Spec) -> list[Check]:
    pools = {pool.name: Kind(pool.serves) for pool in spec.pools}
    return [
        checks.all_answered(records, script.PROMPTS),
        checks.both_pools_answered(records, list(pools)),
        checks.routing(records, pools, script.ROUTING_PERCENT),
        checks.simulation_declared(records, simulated=False),
        *(_correctness(records, pool) for pool in spec.pools),
    ]


def _correctness(records: list[Record], pool: Pool) -> Check:
    kind = Kind(pool.serves)
    percent = evaluated_percent(pool.model.name, kind)
    return checks.correctness(records, pool.name, kind, percent, script.MARGIN_POINTS)


async def peak(stage: Stage, spec: Spec) -> None:
    """Fill the shop until both pools grow, then empty it and watch them shrink while a few shoppers stay."""
    note = f"{script.SHOPPERS} shoppers per class who ask one question after the other (closed loop), then one each."
    bounds = {pool.name: Bounds(pool.scaling.min_replicas, pool.scaling.max_replicas) for pool in spec.pools}
    async with (
        stage.phase(Phase("peak", "A traffic peak on real engines", note=note)) as phase,
        access.gateway(stage.cluster, stage.kube, SHOP.namespace, SHOP.name) as address,
    ):
        traffic = Traffic(Wire(*address), SHOP.name)
        traffic.start()
        async with stage.watched(phase, traffic, SHOP):
            await until(lambda: bool(phase.samples), script.PEAK_SECONDS)
            async with _shoppers(traffic, script.SHOPPERS):
                await until(lambda: _full(phase, bounds), script.PEAK_SECONDS)
                await asyncio.sleep(script.PLATEAU_SECONDS)
            async with _shoppers(traffic, script.LAST_SHOPPERS):
                await until(lambda: _small(phase, bounds), script.SHRINK_SECONDS)
        traffic.wire.close()
        phase.checks.append(checks.all_answered(phase.records, script.PROMPTS))
        phase.checks += [checks.grew(phase.samples, pool, bound) for pool, bound in bounds.items()]
        phase.checks += [checks.shrank(phase.samples, pool, bound) for pool, bound in bounds.items()]


@asynccontextmanager
async def _shoppers(traffic: Traffic, count: int) -> AsyncIterator[None]:
    """So many shoppers of each class for as long as the block lasts."""
    async with (
        traffic.shoppers(count, endless(script.PROMPTS_SEED, Kind.SIMPLE)),
        traffic.shoppers(count, endless(script.PROMPTS_SEED, Kind.COMPLEX)),
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
