"""How this machine reaches a gateway: its cluster address on the local cluster, a port-forward elsewhere."""

import asyncio
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import NamedTuple

from autoglm_api import names
from autoglm_demo.kube import Kube
from autoglm_localcluster.cluster import Cluster

FORWARD_SECONDS = 20
REACHABLE_SECONDS = 10
_FORWARDING = re.compile(rb"Forwarding from 127\.0\.0\.1:(\d+)")


class Address(NamedTuple):
    """Where a gateway answers."""

    host: str
    port: int

    @property
    def url(self) -> str:
        """Base URL for clients."""
        return f"http://{self.host}:{self.port}"


@asynccontextmanager
async def gateway(cluster: Cluster, kube: Kube, namespace: str, deployment: str) -> AsyncIterator[Address]:
    """Give the address of a deployment's gateway for as long as the block lasts.

    A port-forward goes to one gateway pod, so elsewhere than on the local cluster the load is not spread.
    """
    if cluster.provider == "local":
        address = Address(*await kube.gateway_address(namespace, deployment))
        await _reachable(address)
        yield address
        return
    process = await asyncio.create_subprocess_exec(
        *("kubectl", "--namespace", namespace, "port-forward"),
        *(f"service/{names.gateway_name(deployment)}", f":{names.SERVICE_PORT}"),
        env=cluster.environment(),
        stdout=PIPE,
        stderr=DEVNULL,
    )
    try:
        yield Address("127.0.0.1", await _forwarded_port(process))
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _reachable(address: Address) -> None:
    """Wait until the address takes connections: kube-proxy is a second later than the Ready condition."""
    deadline = monotonic() + REACHABLE_SECONDS
    while True:
        try:
            _, writer = await asyncio.open_connection(*address)
        except OSError:
            if monotonic() > deadline:
                raise
            await asyncio.sleep(0.2)
        else:
            writer.close()
            return


async def _forwarded_port(process: asyncio.subprocess.Process) -> int:
    if process.stdout is None:
        raise RuntimeError("kubectl port-forward has no output to read")
    async with asyncio.timeout(FORWARD_SECONDS):
        line = await process.stdout.readline()
    if not (found := _FORWARDING.search(line)):
        raise RuntimeError(f"kubectl port-forward did not start: {line.decode(errors='replace').strip()}")
    return int(found[1])
