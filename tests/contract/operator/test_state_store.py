"""The scaling engine's memory against a scripted API server: what is written when, and what is read back."""

from functools import partial
from typing import Any

import pytest

from autoglm_api import names
from autoglm_operator.core.keys import JSON, ObjectKey
from autoglm_operator.core.scaling_state import Saved, state_config_map_for
from autoglm_operator.shell.api import KubernetesAPI
from autoglm_operator.shell.state_store import INTERVAL_SECONDS, ConfigMapStore, StateUnreadError
from support.scripted_api import Server, answering

KEY = ObjectKey("default", "shop")
UID = "uid-of-the-resource"
SAVED = Saved('{"version":1}', "[]")


class Cluster:
    """Keeps one ConfigMap as an API server does."""

    def __init__(self, live: JSON | None = None) -> None:
        self.live = live
        self.fault: tuple[int, Any] | None = None

    def __call__(self, line: str, body: Any) -> tuple[int, Any]:
        if self.fault is not None:
            return self.fault
        if line.startswith("GET"):
            return (404, {"message": "not found"}) if self.live is None else (200, self.live)
        self.live = {**body, "metadata": {**body["metadata"], "uid": "uid-of-the-map"}}
        return 200, self.live


def _owned(uid: str) -> JSON:
    body = state_config_map_for(KEY, uid, SAVED)
    return {**body, "metadata": {**body["metadata"], "uid": "uid-of-the-map"}}


def _writes(server: Server) -> list[Any]:
    return [body for line, body in server.requests if line.startswith("PATCH")]


class Clock:
    """Stands still until it is moved."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def _store(api: KubernetesAPI, clock: Clock | None = None) -> ConfigMapStore:
    return ConfigMapStore(api, lambda _: UID, clock or Clock())


async def test_what_was_saved_is_loaded_by_the_next_operator() -> None:
    cluster = Cluster()
    async with answering(cluster) as (api, server):
        store = _store(api)
        assert await store.load(KEY) is None
        store.save(KEY, lambda: SAVED, changed=True)
        await store.write_due()
        assert await _store(api).load(KEY) == SAVED
    line, body = next((line, body) for line, body in server.requests if line.startswith("PATCH"))
    assert f"fieldManager={names.FIELD_MANAGER_STATE}" in line
    assert body["metadata"]["ownerReferences"][0]["uid"] == UID
    assert names.LABEL_MANAGED_BY not in body["metadata"]["labels"]  # the operator's own watch does not see it


async def test_only_news_is_written_at_once() -> None:
    clock = Clock()
    async with answering(Cluster()) as (api, server):
        store = _store(api, clock)
        for seconds, changed, writes in ((0, False, 0), (29, False, 0), (1, False, 1), (5, False, 1), (1, True, 2)):
            clock.seconds += seconds
            store.save(KEY, lambda: SAVED, changed=changed)
            await store.write_due()
            assert len(_writes(server)) == writes
        await store.write_due()
        assert len(_writes(server)) == 2


async def test_the_newest_is_written_and_made_only_then() -> None:
    made: list[int] = []

    def make(number: int) -> Saved:
        made.append(number)
        return Saved(str(number))

    async with answering(Cluster()) as (api, server):
        store = _store(api)
        for number in range(5):
            store.save(KEY, partial(make, number), changed=False)
        await store.write_due()
        await store.flush()
        await store.flush()
    assert made == [4]
    assert _writes(server)[0]["data"][names.SCALING_STATE_KEY] == "4"


@pytest.mark.parametrize("owner", ["uid-of-a-namesake-before", None])
async def test_somebody_elses_is_neither_read_nor_written(owner: str | None) -> None:
    live = _owned(owner or "")
    if owner is None:
        del live["metadata"]["ownerReferences"]
    async with answering(Cluster(live)) as (api, server):
        store = _store(api)
        assert await store.load(KEY) is None
        store.save(KEY, lambda: SAVED, changed=True)
        await store.write_due()
        assert not _writes(server)


async def test_a_failed_write_is_tried_again() -> None:
    cluster, clock = Cluster(), Clock()
    async with answering(cluster) as (api, server):
        store = _store(api, clock)
        store.save(KEY, lambda: SAVED, changed=True)
        cluster.fault = (503, {"message": "busy"})
        await store.write_due()
        cluster.fault = None
        await store.write_due()
        assert not _writes(server)  # not in a hurry
        clock.seconds += INTERVAL_SECONDS
        await store.write_due()
        assert len(_writes(server)) == 1


@pytest.mark.parametrize(("fault", "raises"), [((503, {"message": "busy"}), True), ((403, {"message": "no"}), False)])
async def test_a_server_that_does_not_tell_is_not_taken_for_one_without_memory(
    fault: tuple[int, Any], *, raises: bool
) -> None:
    cluster = Cluster(_owned(UID))
    cluster.fault = fault
    async with answering(cluster) as (api, _):
        store = _store(api)
        if not raises:
            assert await store.load(KEY) is None
            return
        with pytest.raises(StateUnreadError):
            await store.load(KEY)
        cluster.fault = None
        assert await store.load(KEY) == SAVED


async def test_a_resource_that_was_never_seen_cannot_be_told() -> None:
    async with answering(Cluster()) as (api, _):
        with pytest.raises(StateUnreadError):
            await ConfigMapStore(api, lambda _: None).load(KEY)


async def test_the_writes_of_a_turn_are_bounded_and_news_comes_first() -> None:
    async with answering(Cluster()) as (api, server):
        store = _store(api)
        for number in range(50):
            store.save(ObjectKey("default", f"shop-{number}"), lambda: SAVED, changed=number >= 10)
        await store.write_due()
        assert len(_writes(server)) == 20
        store.forget(ObjectKey("default", "shop-0"))
        await store.flush()
        assert len({body["metadata"]["name"] for body in _writes(server)}) == 49
