"""The operator's process: wiring, start, stop.

It ends with an error when a watch dies: Kubernetes restarts it, and a restart costs nothing because every reconcile
begins with a fresh look.
"""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, cast

import kopf

from autoglm_api import names
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import PoolDecision
from autoglm_operator.shell import preflight, watches
from autoglm_operator.shell.addresses import PodAddresses
from autoglm_operator.shell.admin import AdminServer
from autoglm_operator.shell.api import KubernetesAPI
from autoglm_operator.shell.environment import Environment
from autoglm_operator.shell.fetch_page import Pages
from autoglm_operator.shell.node_watch import NodeWatch
from autoglm_operator.shell.prometheus import Prometheus
from autoglm_operator.shell.prometheus.absent import NoPrometheus
from autoglm_operator.shell.reconciler import Reconciler
from autoglm_operator.shell.recorder import Recorder
from autoglm_operator.shell.scaling_loop import ScalingLoop
from autoglm_operator.shell.scrape import DirectScrape
from autoglm_operator.shell.state_store import ConfigMapStore
from autoglm_operator.shell.work_queue import WorkQueue

_log: Final = logging.getLogger(__name__)


class WatchEndedError(Exception):
    """A watch of the API server came to an end by itself; the operator would be blind."""


class _Operator:
    """The running parts and the events between them."""

    def __init__(self, api: KubernetesAPI, environment: Environment) -> None:
        self.instance = environment.instance
        self.watching = asyncio.Event()
        self.stopping = asyncio.Event()
        self.reconciler = Reconciler(api, Recorder(api, environment.instance), environment.images)
        self.queue = WorkQueue(self.reconciler, environment.resync_seconds)
        self.store = ConfigMapStore(api, self.reconciler.uid_of)
        self.addresses = PodAddresses(api)
        self.nodes = NodeWatch(api)

    def publish(self, key: ObjectKey, pool: str, decision: PoolDecision) -> None:
        """Take a scaling decision; a new size or reason is acted on at once."""
        if self.reconciler.decide(key, pool, decision):
            self.queue.wake(key)

    def wake_owners(self, namespace: str, child: str) -> None:
        """Wake the resources that may own a child of that name."""
        for key in self.queue.keys:
            if key.namespace == namespace and names.may_be_child(key.name, child):
                self.queue.wake(key)

    async def watch(self, namespaces: tuple[str, ...]) -> None:
        """Watch until told to stop; raises WatchEndedError when kopf ends before that."""
        await kopf.operator(
            registry=watches.registry(self.queue.wake, self.wake_owners),
            settings=watches.settings(),
            namespaces=namespaces,
            clusterwide=not namespaces,
            ready_flag=self.watching,
            stop_flag=self.stopping,
            # Without it kopf asks for the user's name, and a container's user has none. Its type is private to kopf.
            identity=cast(Any, self.instance),
        )
        if not self.stopping.is_set():
            raise WatchEndedError("kopf ended without being told to")


async def run(environment: Environment) -> None:
    """Run the operator until SIGTERM or SIGINT; raises when it cannot go on."""
    async with contextlib.AsyncExitStack() as stack:
        api = await KubernetesAPI.connect()
        stack.push_async_callback(api.close)
        operator = _Operator(api, environment)
        admin = AdminServer(environment.admin_port, operator.watching.is_set)
        await admin.start()
        stack.push_async_callback(admin.stop)
        await preflight.wait_for_access(api, environment.namespaces)
        stack.push_async_callback(operator.queue.close)
        await stack.enter_async_context(_scaling(operator, environment))
        await stack.enter_async_context(_in_background(lambda: _obey_signals(operator)))
        await operator.watch(environment.namespaces)
        _log.info("stopping")


@contextlib.asynccontextmanager
async def _scaling(operator: _Operator, environment: Environment) -> AsyncIterator[None]:
    """Run the scaling loop beside the rest."""
    prometheus, pages, nodes = _prometheus(environment.prometheus_url), Pages(), operator.nodes
    loop = ScalingLoop(
        prometheus,
        lambda: nodes.placed(operator.reconciler.targets()),
        operator.publish,
        environment.scaling_interval_seconds,
        direct=DirectScrape(operator.addresses.gateways, operator.addresses.workers, pages),
        store=operator.store,
    )
    try:
        async with _in_background(operator.store.run), _in_background(nodes.run), _in_background(loop.run):
            yield
    finally:
        await operator.store.flush()
        await prometheus.aclose()
        await pages.aclose()


def _prometheus(url: str | None) -> Prometheus | NoPrometheus:
    if url is not None:
        return Prometheus(url)
    _log.warning("no Prometheus is configured: gateways and workers are asked; latencies, queries, lags lack data")
    return NoPrometheus()


async def _obey_signals(operator: _Operator) -> None:
    """Stop at SIGTERM and SIGINT. Installed once kopf watches, because kopf installs its own handlers before."""
    await operator.watching.wait()
    _log.info("watching")
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, operator.stopping.set)


@contextlib.asynccontextmanager
async def _in_background(work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run work in a task that is cancelled at the end; its failure stops the whole process."""
    owner = asyncio.current_task()

    async def guarded() -> None:
        try:
            await work()
        except Exception:
            _log.exception("a part of the operator failed")
            if owner is not None:
                owner.cancel()
            raise

    task = asyncio.create_task(guarded())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
