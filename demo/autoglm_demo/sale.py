"""Example 02: a flash sale on 32 fake GPU nodes with simulated replicas, under real gateway traffic."""

from collections.abc import Iterator
from random import Random
from typing import Final

from autoglm_api.spec import Spec
from autoglm_demo import access, checks
from autoglm_demo.checks import Bounds
from autoglm_demo.curve import flash_sale
from autoglm_demo.figures import Phase
from autoglm_demo.load import Traffic
from autoglm_demo.samples import settled
from autoglm_demo.stage import Stage, Target, endless, until
from autoglm_demo.wire import Wire
from autoglm_shop.task import Kind, Query

SALE: Final = Target("flash-sale", "flash-sale")
EXAMPLE: Final = "02-flash-sale"
NODES: Final = 32
PEAK_PER_SECOND: Final = 240.0
COMPLEX_SHARE: Final = 0.2
FAILURE_PERCENT: Final = 1.0
EMPTYING_SECONDS: Final = 60.0
SEED: Final = 1111


async def flash_sale_phase(stage: Stage, spec: Spec) -> None:
    """Play the sale's curve and check that the nodes fill and empty."""
    curve = flash_sale(PEAK_PER_SECOND)
    note = (
        f"{NODES} fake GPU nodes; the replicas on them are simulated, the gateway, its queue, Prometheus and the "
        f"scaling are real. Open loop, up to {curve.peak:.0f} queries per second."
    )
    bounds = {pool.name: Bounds(pool.scaling.min_replicas, pool.scaling.max_replicas) for pool in spec.pools}
    kept = sum(bound.smallest for bound in bounds.values())
    async with (
        stage.phase(Phase("flash-sale", "A flash sale on 32 GPU nodes", simulated=True, note=note)) as phase,
        access.gateway(stage.cluster, stage.kube, SALE.namespace, SALE.name) as address,
    ):
        rng = Random(SEED)
        traffic = Traffic(Wire(*address), SALE.name)
        traffic.start()
        async with stage.watched(phase, traffic, SALE):
            await traffic.follow(curve.arrivals(rng), _crowd(rng))
            await until(lambda: _emptied(phase, bounds, kept), EMPTYING_SECONDS)
        traffic.wire.close()
        phase.checks += [
            checks.few_failures(phase.records, FAILURE_PERCENT),
            checks.simulation_declared(phase.records, simulated=True),
            checks.nodes_filled(phase.samples, NODES),
            *(checks.grew(phase.samples, pool, bound) for pool, bound in bounds.items()),
            *(checks.shrank(phase.samples, pool, bound) for pool, bound in bounds.items()),
            checks.nodes_emptied(phase.samples, kept),
        ]


def _crowd(rng: Random) -> Iterator[Query]:
    """Queries of a crowd: most of them look something up."""
    kinds = {kind: endless(SEED, kind) for kind in Kind}
    while True:
        yield next(kinds[Kind.COMPLEX if rng.random() < COMPLEX_SHARE else Kind.SIMPLE])


def _emptied(phase: Phase, bounds: dict[str, Bounds], kept: int) -> bool:
    small = all(settled(phase.samples, pool, bound.smallest) for pool, bound in bounds.items())
    return small and phase.samples[-1].nodes == kept
