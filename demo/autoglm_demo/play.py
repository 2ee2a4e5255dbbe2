"""The order of the demo's phases, and the report at the end."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

from autoglm_demo import ground, machine, sale, two_pools
from autoglm_demo.checks import Check
from autoglm_demo.figures import DemoFigures, Phase, phase_figures
from autoglm_demo.kube import connected, wait_ready
from autoglm_demo.page import page
from autoglm_demo.plots import phase_svg
from autoglm_demo.screen import Screen
from autoglm_demo.script import READY_SECONDS, SALE, SHOP, Target
from autoglm_demo.stage import Stage
from autoglm_localcluster.cluster import Cluster


@dataclass(slots=True)
class Play:
    """One run: what was seen so far, and since when."""

    screen: Screen
    flash_sale: bool
    began: float
    started: datetime
    phases: list[Phase]
    versions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(cls, screen: Screen, *, flash_sale: bool) -> "Play":
        """Start the clock."""
        return cls(screen, flash_sale, monotonic(), datetime.now(UTC), [])

    @property
    def held(self) -> bool:
        """Whether something was claimed and every claim held."""
        return bool(self.phases) and all(phase.held for phase in self.phases)

    @property
    def seconds(self) -> float:
        """Time since the start."""
        return monotonic() - self.began

    def fail(self, why: str) -> None:
        """Record that the demo did not come to its end."""
        self.phases.append(
            Phase("stopped", "The demo stopped early", checks=[Check("the demo came to its end", False, why)])
        )
        self.screen.verdicts(self.phases[-1].checks)

    async def perform(self, cluster: Cluster) -> None:
        """Play every phase on a running cluster.

        Raises:
            GroundError, KubectlError, OSError: a phase could not begin, or the cluster went away.
        """
        self.versions = machine.versions(cluster)
        async with connected(cluster.kubeconfig) as kube:
            stage = Stage(cluster, kube, self.screen, self.phases)
            self.screen.heading("Installing the chart and applying the examples")
            ground.install(cluster)
            self.screen.say("  the operator runs: helm install autoglm charts/autoglm")
            shop = ground.apply_example(cluster, SHOP.example)
            await self._ready(stage, SHOP)
            await two_pools.questions(stage, shop)
            sale_spec = ground.apply_example(cluster, SALE.example) if self.flash_sale else None
            await two_pools.peak(stage, shop)
            if sale_spec is not None:
                await self._ready(stage, SALE)
                await sale.flash_sale_phase(stage, sale_spec)

    async def _ready(self, stage: Stage, target: Target) -> None:
        began = monotonic()
        await wait_ready(stage.kube, target.namespace, target.name, READY_SECONDS)
        self.screen.say(f"  {target.namespace}/{target.name} is Ready after {monotonic() - began:.0f} s")

    def report(self, folder: Path) -> Path:
        """Write `report.html` and `figures.json` and return the page's path."""
        figures = DemoFigures(
            started=self.started.isoformat(timespec="seconds"),
            seconds=round(self.seconds, 1),
            held=self.held,
            machine=machine.machine(),
            versions=self.versions,
            phases=[phase_figures(phase) for phase in self.phases],
        )
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "figures.json").write_text(figures.model_dump_json(indent=1))
        target = folder / "report.html"
        target.write_text(page(figures, phase_svg))
        return target
