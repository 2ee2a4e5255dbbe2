"""What the phases of the demo share: the cluster, the screen, and how a deployment is watched while traffic runs."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic

from autoglm_demo.figures import Phase
from autoglm_demo.kube import LOOK_SECONDS, Kube
from autoglm_demo.load import Traffic
from autoglm_demo.samples import Sample
from autoglm_demo.screen import Screen
from autoglm_demo.script import Target
from autoglm_localcluster.cluster import Cluster


@dataclass(slots=True)
class Stage:
    """Where the demo plays; `phases` gathers what was seen, in order."""

    cluster: Cluster
    kube: Kube
    screen: Screen
    phases: list[Phase] = field(default_factory=list)

    @asynccontextmanager
    async def phase(self, phase: Phase) -> AsyncIterator[Phase]:
        """Run a phase: print its title, time it, keep it even if it fails, print its answers and verdicts."""
        self.phases.append(phase)
        self.screen.heading(phase.title)
        began = monotonic()
        try:
            yield phase
        finally:
            phase.seconds = monotonic() - began
            self.screen.answers(phase)
            self.screen.verdicts(phase.checks)

    @asynccontextmanager
    async def watched(self, phase: Phase, traffic: Traffic, target: Target) -> AsyncIterator[None]:
        """Sample the deployment every second while the block runs, on the clock of the traffic."""
        phase.records = traffic.records
        with self.screen.live(phase) as show:
            watcher = asyncio.create_task(self._watch(phase, traffic, target, show))
            try:
                yield
            finally:
                watcher.cancel()
                await asyncio.gather(watcher, return_exceptions=True)
        if not watcher.cancelled() and (failure := watcher.exception()) is not None:
            raise failure

    async def _watch(self, phase: Phase, traffic: Traffic, target: Target, show: Callable[[Sample], None]) -> None:
        while True:
            view = await self.kube.view(target.namespace, target.name)
            nodes = await self.kube.busy_fake_nodes(target.namespace) if phase.simulated else 0
            sample = Sample(traffic.now, view.pools, nodes=nodes, in_flight=sum(traffic.open.values()))
            phase.samples.append(sample)
            show(sample)
            await asyncio.sleep(LOOK_SECONDS)


async def until(condition: Callable[[], bool], within_seconds: float) -> bool:
    """Wait until a condition holds; say whether it did in time. The verdict itself is a check's business."""
    deadline = monotonic() + within_seconds
    while not condition():
        if monotonic() > deadline:
            return False
        await asyncio.sleep(LOOK_SECONDS / 2)
    return True
