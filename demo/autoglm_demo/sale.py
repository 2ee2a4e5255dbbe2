"""Example 02: a flash sale on 32 fake GPU nodes with simulated replicas, under real gateway traffic."""

from collections.abc import Iterator
from random import Random

from autoglm_api.spec import Spec
from autoglm_demo import access, checks, script
from autoglm_demo.checks import Bounds
from autoglm_demo.figures import Phase
from autoglm_demo.load import Traffic, endless
from autoglm_demo.samples import settled
from autoglm_demo.script import SALE
from autoglm_demo.stage import Stage, until
from autoglm_demo.wire import Wire
from autoglm_shop.task import Kind, Query


async def flash_sale_phase(stage: Stage, spec: Spec) -> None:
    """Play the sale's curve and check that the nodes fill and empty."""
    curve = script.SALE_CURVE
    note = (
        f"{script.NODES} fake GPU nodes; the replicas on them are simulated, the gateway, its queue, Prometheus "
        f"and the scaling are real. Open loop, up to {curve.peak:.0f} queries per second."
    )
    bounds = {pool.name: Bounds(pool.scaling.min_replicas, pool.scaling.max_replicas) for pool in spec.pools}
    kept = sum(bound.smallest for bound in bounds.values())
    async with (
        stage.phase(Phase("flash-sale", "A flash sale on 32 GPU nodes", simulated=True, note=note)) as phase,
        access.gateway(stage.cluster, stage.kube, SALE.namespace, SALE.name) as address,
    ):
        rng = Random(script.SALE_SEED)
        traffic = Traffic(Wire(*address), SALE.name, max_tokens=script.SALE_TOKENS)
        traffic.start()
        async with stage.watched(phase, traffic, SALE):
            await traffic.follow(curve.arrivals(rng), _crowd(rng))
            await until(lambda: _emptied(phase, bounds, kept), script.EMPTYING_SECONDS)
        traffic.wire.close()
        phase.checks += [
            checks.few_failures(phase.records, script.FAILURE_PERCENT),
            checks.simulation_declared(phase.records, simulated=True),
            checks.nodes_filled(phase.samples, script.NODES),
            *(checks.grew(phase.samples, pool, bound) for pool, bound in bounds.items()),
            *(checks.shrank(phase.samples, pool, bound) for pool, bound in bounds.items()),
            checks.nodes_emptied(phase.samples, kept),
        ]


def _crowd(rng: Random) -> Iterator[Query]:
    """Queries of a crowd: most of them look something up."""
    kinds = {kind: endless(script.SALE_SEED, kind) for kind in Kind}
    while True:
        yield next(kinds[Kind.COMPLEX if rng.random() < script.COMPLEX_SHARE else Kind.SIMPLE])


def _emptied(phase: Phase, bounds: dict[str, Bounds], kept: int) -> bool:
    small = all(settled(phase.samples, pool, bound.smallest) for pool, bound in bounds.items())
    return small and phase.samples[-1].nodes == kept
