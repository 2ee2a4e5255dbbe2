"""The cycle of one key: look, decide (in the core), act, report."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, assert_never

from autoglm_api import names
from autoglm_api.status import Status
from autoglm_operator.core.deployment import Deployment, Invalid, parse
from autoglm_operator.core.keys import JSON, ChildRef, ObjectKey
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed, child_of, observe
from autoglm_operator.core.outcome import Action, Apply, Delete, Outcome, Scale
from autoglm_operator.core.pool_target import Sighting, sighting_of
from autoglm_operator.core.reconcile import blind, reconcile
from autoglm_operator.core.settings import Images
from autoglm_operator.core.startups import Startups, handed_out, noticed
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.shell.api import APIError, KubernetesAPI, NamespaceEndsError, NotFoundError, RefusedError
from autoglm_operator.shell.recorder import Recorder
from autoglm_operator.shell.resources import CHILDREN, CUSTOM, PODS
from autoglm_operator.shell.rivals import autoscalers_in
from autoglm_operator.shell.telemetry import RECONCILE_SECONDS, RECONCILES
from autoglm_operator.shell.victims import Victims
from autoglm_operator.shell.work_queue import Again, Result

_log: Final = logging.getLogger(__name__)
_SERVER_FAULT: Final = 500


class Reconciler:
    """Keeps every resource as its spec says; remembers the last outcome of each."""

    def __init__(self, api: KubernetesAPI, recorder: Recorder, images: Images, victims: Victims | None = None) -> None:
        self._api = api
        self._victims = victims or Victims(api)
        self._recorder = recorder
        self._images = images
        self._memories: dict[ObjectKey, Memory] = {}
        self._sightings: dict[ObjectKey, Mapping[str, Sighting]] = {}
        self._startups: dict[ObjectKey, Startups] = {}
        self._shown: dict[ObjectKey, Mapping[str, int]] = {}  # the sizes that the scaling engine decides for
        self._uids: dict[ObjectKey, str] = {}

    def targets(self) -> Mapping[ObjectKey, Mapping[str, PoolTarget]]:
        """Return the pools that the scaling engine may size, as they were last seen.

        Start-up times are handed out once: only the engine itself may ask, once a tick. A deployment of which nothing
        may be sized now (paused, unreadable) is left out: what the engine keeps of it outlives the pause.
        """
        now = datetime.now(UTC)
        return {key: self._handed_out(key, pools, now) for key, pools in self._sightings.items() if pools}

    def _handed_out(self, key: ObjectKey, pools: Mapping[str, Sighting], now: datetime) -> Mapping[str, PoolTarget]:
        learned = self._startups[key]
        self._startups[key] = handed_out(learned)
        self._shown[key] = {name: one.target.current for name, one in pools.items()}
        return {name: one.at(now, learned.fresh.get(name, ())) for name, one in pools.items()}

    def uid_of(self, key: ObjectKey) -> str | None:
        """Return the UID of the resource that has this name, if one was seen."""
        return self._uids.get(key)

    def decide(self, key: ObjectKey, pool: str, decision: PoolDecision) -> bool:
        """Remember a scaling decision; tell whether it changes anything that is written."""
        if key not in self._sightings:
            return False
        memory = self._memories.get(key, Memory())
        self._memories[key] = memory.decided(pool, decision, self._shown.get(key, {}).get(pool))
        return memory.is_news(pool, decision)

    async def __call__(self, key: ObjectKey) -> Result:
        """Reconcile one key once."""
        with RECONCILE_SECONDS.time():
            try:
                result = await self._reconcile(key)
            except NamespaceEndsError:
                result = Result(Again.RETRY)  # its resource goes soon, too
            except APIError as error:
                _log.warning("reconcile of %s: %s", key, error)
                result = Result(Again.RETRY)
        RECONCILES.labels(result.again.name.lower()).inc()
        return result

    async def _reconcile(self, key: ObjectKey) -> Result:
        live = await self._resource(key)
        if live is None or "deletionTimestamp" in live["metadata"]:
            self._forget(key)  # children go by their owner references
            return Result(Again.NEVER)
        if self._uids.get(key) != live["metadata"]["uid"]:
            self._forget(key)  # what is remembered is of a namesake before it
        self._uids[key] = live["metadata"]["uid"]
        deployment = parse(live)
        memory = self._memory(key)
        try:
            observed, outcome = await self._look(deployment, memory)
        except RefusedError as error:
            await self._report(deployment, live, blind(deployment, error.sentence, memory, datetime.now(UTC)))
            raise
        refusals = await self._act(key, observed, outcome.actions)
        if refusals != memory.refusals:
            memory = replace(memory, refusals=refusals)
            outcome = replace(self._decide(deployment, observed, memory), actions=outcome.actions)
        self._remember(key, observed, outcome)
        await self._report(deployment, live, outcome)
        if refusals:
            return Result(Again.RETRY)
        pause = outcome.requeue_after
        return Result(Again.LATER, pause.total_seconds() if pause is not None else None)

    async def _resource(self, key: ObjectKey) -> JSON | None:
        try:
            return await self._api.get(CUSTOM, key.namespace, key.name)
        except NotFoundError:
            return None

    async def _look(self, deployment: Deployment | Invalid, memory: Memory) -> tuple[Observed, Outcome]:
        """Observe and decide; names that are about to be created are looked up first, as they may be somebody's."""
        observed = await self._observe(deployment)
        outcome = self._decide(deployment, observed, memory)
        unlabelled = await self._unlabelled(deployment, outcome)
        if not unlabelled.children:
            return observed, outcome
        observed = replace(observed, children={**observed.children, **unlabelled.children})
        return observed, self._decide(deployment, observed, memory)

    async def _observe(self, deployment: Deployment | Invalid) -> Observed:
        key = deployment.identity.key
        ours = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY},{names.LABEL_DEPLOYMENT}={names.label_value(key.name)}"
        lists = (self._api.list(resource, key.namespace, ours) for resource in (PODS, *CHILDREN.values()))
        autoscalers, pods, *children = await asyncio.gather(autoscalers_in(self._api, key.namespace), *lists)
        bodies = [_typed(kind, body) for kind, items in zip(CHILDREN, children, strict=True) for body in items]
        return observe(deployment.identity.uid, bodies, pods, autoscalers)

    async def _unlabelled(self, deployment: Deployment | Invalid, outcome: Outcome) -> Observed:
        """Find objects without our labels that have the name of a child that is to be created."""
        refs = [one.ref for one in outcome.actions if isinstance(one, Apply) and one.uid is None]
        key, uid = deployment.identity.key, deployment.identity.uid
        found = await asyncio.gather(*(self._child(key.namespace, ref) for ref in refs))
        children = (child_of(uid, body) for body in found if body is not None)
        return Observed({child.ref: child for child in children})

    async def _child(self, namespace: str, ref: ChildRef) -> JSON | None:
        try:
            return await self._api.get(CHILDREN[ref.kind], namespace, ref.name)
        except NotFoundError:
            return None

    def _decide(self, deployment: Deployment | Invalid, observed: Observed, memory: Memory) -> Outcome:
        return reconcile(deployment, observed, memory, datetime.now(UTC), self._images)

    async def _act(self, key: ObjectKey, observed: Observed, actions: tuple[Action, ...]) -> dict[ChildRef, str]:
        """Do everything in order; return what the API server refused. A refusal does not stop the rest.

        A server that fails, or a webhook of it, stops the rest but not the report: the status must not stay what it
        was while nothing can be written.
        """
        refusals: dict[ChildRef, str] = {}
        for action in actions:
            if action.ref in refusals:
                continue
            _log.info("%s: %s %s, because %s", key, type(action).__name__.lower(), action.ref, action.because)
            try:
                await self._do(key.namespace, observed, action)
            except RefusedError as error:
                _log.warning("%s: %s was refused: %s", key, action.ref, error)
                refusals[action.ref] = error.sentence
            except APIError as error:
                if error.status < _SERVER_FAULT:
                    raise
                _log.warning("%s: %s failed: %s", key, action.ref, error)
                refusals[action.ref] = error.sentence
                break
        return refusals

    async def _do(self, namespace: str, observed: Observed, action: Action) -> None:
        match action:
            case Apply():
                await self._api.apply(action.body, action.uid)
            case Scale():
                await self._victims.mark(namespace, observed.pods_of(action.ref), action.replicas)
                await self._api.scale(namespace, action.ref, action.replicas)
            case Delete():
                await self._api.delete(namespace, action.ref, action.uid)
            case _:
                assert_never(action)

    def _memory(self, key: ObjectKey) -> Memory:
        return self._memories.get(key, Memory())

    def _remember(self, key: ObjectKey, observed: Observed, outcome: Outcome) -> None:
        """Keep the outcome's memory, but with decisions that were published while we were at it."""
        pools = {pool.name for pool in outcome.status.pools or ()}
        self._memories[key] = outcome.memory.with_decisions_of(self._memory(key), pools)
        self._startups[key] = noticed(self._startups.get(key), observed.pods)
        self._sightings[key] = {name: sighting_of(plan, observed) for name, plan in outcome.pools.items()}

    def _forget(self, key: ObjectKey) -> None:
        self._memories.pop(key, None)
        self._sightings.pop(key, None)
        self._startups.pop(key, None)
        self._shown.pop(key, None)
        self._uids.pop(key, None)

    async def _report(self, deployment: Deployment | Invalid, live: JSON, outcome: Outcome) -> None:
        """Write the status if it says something new, then tell what changed."""
        if _differs(outcome.status, live.get("status") or {}):
            written = outcome.status.to_json()
            await self._api.apply_status(deployment.identity.key, deployment.identity.uid, written)
        for one in outcome.reports:
            await self._api.apply_child_status(live["metadata"]["namespace"], one.ref, one.uid, one.status.to_json())
        for event in outcome.events:
            await self._recorder.record(deployment.identity, event)


def _differs(status: Status, live: JSON) -> bool:
    return status.to_json() != live


def _typed(kind: str, body: JSON) -> JSON:
    """Return an item of a list as an object of its own: the API server leaves the type out of items."""
    return {**body, "apiVersion": CHILDREN[kind].api_version, "kind": kind}
