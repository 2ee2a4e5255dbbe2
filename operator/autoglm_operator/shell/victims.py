"""Marks the idlest replicas before a pool shrinks. It may fail: then the ReplicaSet chooses by its own rules."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from autoglm_api import names
from autoglm_operator.core.pods import Pod
from autoglm_operator.core.victims import Mark, marks, needs_choice
from autoglm_operator.shell.api import APIError, KubernetesAPI
from autoglm_operator.shell.worker_load import in_flight_of

_log: Final = logging.getLogger(__name__)
_DEADLINE_SECONDS: Final = 3.0
_AT_ONCE: Final = 8

InFlight = Callable[[Sequence[Pod]], Awaitable[Mapping[str, int]]]


class Victims:
    """Chooses and marks the replicas that a shrinking Deployment gives up."""

    def __init__(self, api: KubernetesAPI, in_flight: InFlight = in_flight_of) -> None:
        self._api = api
        self._in_flight = in_flight

    async def mark(self, namespace: str, pods: Sequence[Pod], size: int) -> None:
        """Write the deletion cost of a Deployment's live pods before it shrinks to a size; takes a few seconds."""
        if not needs_choice(pods, size):
            return
        ready = [pod for pod in pods if pod.ready]
        chosen = marks(pods, size, await self._in_flight(ready))
        gate = asyncio.Semaphore(_AT_ONCE)
        try:
            async with asyncio.timeout(_DEADLINE_SECONDS):
                await asyncio.gather(*(self._write(namespace, one, gate) for one in chosen))
        except TimeoutError:
            _log.warning("%s: not all of %d replicas could be marked in time", namespace, len(chosen))

    async def _write(self, namespace: str, one: Mark, gate: asyncio.Semaphore) -> None:
        async with gate:
            try:
                await self._api.annotate_pod(
                    namespace, one.pod.name, one.pod.uid, {names.ANNOTATION_DELETION_COST: one.cost}
                )
            except APIError as error:
                _log.warning("%s: pod %s was not marked: %s", namespace, one.pod.name, error)
