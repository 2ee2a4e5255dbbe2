"""One reconcile against a scripted API server: what is told when the server does not do as it is asked."""

from collections.abc import Callable
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.core.outcome import Event
from autoglm_operator.core.settings import Images
from autoglm_operator.scaling.model import PoolDecision
from autoglm_operator.shell.reconciler import Reconciler
from autoglm_operator.shell.recorder import Recorder
from autoglm_operator.shell.work_queue import Again
from support.manifests import changed, two_pools
from support.scripted_api import Server, answering
from support.simulated_kubernetes import NOW, deployment, resource

KEY = ObjectKey("default", "shop")
WEBHOOK = "Internal error occurred: failed calling webhook"
READY = {
    "type": "Ready",
    "status": "True",
    "reason": "Available",
    "message": "of yesterday",
    "lastTransitionTime": "2026-01-01T00:00:00Z",
}


def _server(write: tuple[int, Any]) -> Callable[[str, Any], tuple[int, Any]]:
    """Answer as an empty cluster with one resource that once was Ready; writes of children get `write`."""

    def answer(line: str, _: Any) -> tuple[int, Any]:
        method, path = line.split(" ")
        if method != "GET":
            return (200, {}) if f"{names.PLURAL}/shop/status" in path or "/events" in path else write
        if f"{names.PLURAL}/shop" in path:
            return 200, resource(status={"conditions": [READY]})
        return (200, {"metadata": {}, "items": []}) if "limit=" in path else (404, {"message": "not found"})

    return answer


def _wide(uid: str) -> dict[str, Any]:
    stored = resource(changed(two_pools(), "spec.light.scaling", {"minReplicas": 1, "maxReplicas": 8}))
    stored["metadata"]["uid"] = uid
    return stored


@pytest.mark.parametrize(("uid", "size"), [("first", 5), ("second", None)])
async def test_a_decision_is_for_the_resource_it_was_made_for_and_not_for_its_successor(
    uid: str, size: int | None
) -> None:
    stored = _wide("first")
    answer = _server((200, {}))
    own = f"{names.PLURAL}/shop"
    async with answering(lambda line, body: (200, stored) if line.endswith(own) else answer(line, body)) as (api, seen):
        reconciler = Reconciler(api, Recorder(api, "test"), Images("gateway:1", "node:1"))
        await reconciler(KEY)
        reconciler.decide(KEY, "light", PoolDecision(5, Reason.AS_EXPECTED, None, "", True, None, NOW))
        stored = _wide(uid)
        seen.requests.clear()
        await reconciler(KEY)
    sizes = [body["spec"]["replicas"] for line, body in seen.requests if "shop-light" in line and "/scale" in line]
    assert sizes == ([] if size is None else [size])


@pytest.mark.parametrize(("paused", "offered"), [(False, {"light", "large"}), (True, None)])
async def test_a_paused_resource_is_not_offered_to_the_scaling_engine(
    *, paused: bool, offered: set[str] | None
) -> None:
    stored = resource(changed(two_pools(), "spec.paused", paused))
    answer = _server((200, {}))
    own = f"{names.PLURAL}/shop"
    async with answering(lambda line, body: (200, stored) if line.endswith(own) else answer(line, body)) as (api, _):
        reconciler = Reconciler(api, Recorder(api, "test"), Images("gateway:1", "node:1"))
        await reconciler(KEY)
        targets = reconciler.targets()
    assert (set(targets[KEY]) if KEY in targets else None) == offered


def _conditions_written(server: Server) -> dict[str, dict[str, Any]]:
    bodies = [body for line, body in server.requests if f"{names.PLURAL}/shop/status" in line]
    return {one["type"]: one for one in bodies[-1]["status"]["conditions"]} if bodies else {}


async def test_a_server_that_fails_every_write_does_not_keep_the_truth_from_the_status() -> None:
    async with answering(_server((500, {"message": WEBHOOK}))) as (api, server):
        reconciler = Reconciler(api, Recorder(api, "test"), Images("gateway:1", "node:1"))
        assert (await reconciler(KEY)).again is Again.RETRY
    written = _conditions_written(server)
    assert written["Ready"]["status"] == "False"
    assert WEBHOOK in written["Degraded"]["message"]


async def test_an_operator_that_may_not_look_any_more_does_not_call_the_resource_ready() -> None:
    forbidden = 'services is forbidden: User "operator" cannot list resource "services"'
    sees = _server((200, {}))

    def answer(line: str, body: Any) -> tuple[int, Any]:
        return (403, {"message": forbidden}) if "/services?" in line else sees(line, body)

    async with answering(answer) as (api, server):
        reconciler = Reconciler(api, Recorder(api, "test"), Images("gateway:1", "node:1"))
        assert (await reconciler(KEY)).again is Again.RETRY
    written = _conditions_written(server)
    assert (written["Ready"]["status"], written["Ready"]["reason"]) == ("Unknown", "APIRefused")
    assert forbidden in written["Degraded"]["message"]


async def test_an_event_in_any_script_fits_into_the_servers_bytes() -> None:
    async with answering(lambda *_: (201, {})) as (api, server):
        await Recorder(api, "test").record(deployment().identity, Event("Reason", "模型" * 1000))
    (_, body), *_ = server.requests
    assert 1000 < len(body["note"].encode()) <= 1024
