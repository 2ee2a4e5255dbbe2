"""The operator's reconciler inside the test, on a real API server: the test decides and says how busy replicas are."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

from kubernetes.aio import client, config

from autoglm_api.status import Reason
from autoglm_localcluster import servers
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.core.pods import Pod
from autoglm_operator.core.settings import Images
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.shell.api import KubernetesAPI
from autoglm_operator.shell.reconciler import Reconciler
from autoglm_operator.shell.recorder import Recorder
from autoglm_operator.shell.victims import Victims
from support.operators import GATEWAY_IMAGE, NODE_IMAGE, USER, World


@dataclass
class Inside:
    """A reconciler of one resource."""

    key: ObjectKey
    reconciler: Reconciler
    in_flight: dict[str, int] = field(default_factory=dict)
    """Queries inside each worker pod, by its name."""

    async def until(self, holds: Callable[[], object], seconds: float = 40.0) -> None:
        """Reconcile again and again until something holds; raises TimeoutError."""
        async with asyncio.timeout(seconds):
            await self.reconciler(self.key)
            while not await asyncio.to_thread(holds):
                await asyncio.sleep(0.2)
                await self.reconciler(self.key)

    def targets(self) -> Mapping[str, PoolTarget]:
        """Return what the scaling engine would see now."""
        return self.reconciler.targets()[self.key]

    def decide(self, pool: str, replicas: int, reason: Reason = Reason.DESIRED_WITHIN_RANGE) -> None:
        """Publish a decision as the scaling loop does."""
        self.targets()
        decision = PoolDecision(replicas, reason, None, "the test", True, None, datetime.now(UTC))
        self.reconciler.decide(self.key, pool, decision)


@asynccontextmanager
async def inside(world: World, name: str = "shop") -> AsyncIterator[Inside]:
    """Give a reconciler that may do what the chart grants."""
    chosen = client.Configuration()
    kubeconfig = world.cluster.kubeconfig_for(USER, [servers.AUDITED_GROUP])
    await config.load_kube_config(config_file=str(kubeconfig), client_configuration=chosen)
    api = KubernetesAPI(client.ApiClient(chosen))
    in_flight: dict[str, int] = {}

    async def ask(pods: Sequence[Pod]) -> Mapping[str, int]:
        return {pod.name: in_flight[pod.name] for pod in pods if pod.name in in_flight}

    reconciler = Reconciler(api, Recorder(api, "test"), Images(GATEWAY_IMAGE, NODE_IMAGE), Victims(api, ask))
    try:
        yield Inside(ObjectKey(world.namespace, name), reconciler, in_flight)
    finally:
        await api.close()
