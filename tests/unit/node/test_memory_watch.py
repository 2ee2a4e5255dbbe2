import json
from pathlib import Path

import pytest

from autoglm_api import names
from autoglm_node.admission import Admission, Door
from autoglm_node.cgroup import Memory
from autoglm_node.failure import RefusalError
from autoglm_node.memory_guard import Level
from autoglm_node.memory_watch import MemoryWatch, device_share
from autoglm_node.metrics import Metrics
from support.node_artifacts import engine_spec

MIB = 1 << 20


class World:
    """A watch with everything it touches."""

    def __init__(self, directory: Path) -> None:
        self.metrics = Metrics("glm")
        self.admission = Admission(4, long_from=100)
        self.wakes = 0
        self.now = 0.0
        self.evidence, self.reclaim = directory / "evidence", directory / "reclaim"
        self.watch = MemoryWatch(
            engine_spec(directory, concurrency=4, reclaim_interval_seconds=30),
            None,
            self.metrics,
            self.admission,
            reclaim_file=self.reclaim,
            evidence=self.evidence,
            wake=self.wake,
        )

    def wake(self) -> None:
        self.wakes += 1

    def ticks(self, percent: int, count: int = 1, kills: int = 0, device: float | None = None) -> None:
        for _ in range(count):
            self.now += 1
            self.watch.tick(Memory(percent * MIB, 100 * MIB, kills), device, self.now)

    def series(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_pressure_is_a_metric_and_asks_the_engine(world: World) -> None:
    world.ticks(85, 3)
    assert world.series(names.METRIC_NODE_MEMORY_PRESSURE) == Level.RECLAIM
    assert world.series(names.METRIC_NODE_MEMORY_SHARE, source="host") == 0.85
    assert world.series(names.METRIC_NODE_MEMORY_SHARE, source="device") is None
    assert world.reclaim.exists()


def test_the_engine_is_asked_again_after_the_interval(world: World) -> None:
    world.ticks(85, 3)
    world.reclaim.unlink()
    world.ticks(85, 29)
    assert not world.reclaim.exists()
    world.ticks(85, 1)
    assert world.reclaim.exists()


async def test_long_prompts_are_fewer_short_ones_are_not(world: World) -> None:
    world.ticks(85, 6)
    room = world.admission.room_for
    with room(100), room(500), room(99), room(99):
        with pytest.raises(RefusalError) as refused, room(100):
            pass
        assert (refused.value.status, refused.value.code) == (503, "memory_pressure")
    with room(100):
        world.ticks(60)
        assert world.admission.long_seats == 4


async def test_a_nearly_full_replica_sends_newcomers_elsewhere_until_it_is_over(world: World) -> None:
    world.ticks(93)
    with pytest.raises(RefusalError) as refused:
        async with world.admission.seat(None):
            pass
    assert refused.value.status == 503
    assert {names.HEADER_DRAINING, "retry-after"} == set(dict(refused.value.headers))
    world.ticks(80)
    assert world.admission.door is Door.OPEN


def test_a_door_that_somebody_else_closed_stays_closed(world: World) -> None:
    world.admission.door = Door.DRAINING
    world.ticks(93)
    world.ticks(10)
    assert world.admission.door is Door.DRAINING


def test_a_full_replica_asks_for_a_new_engine(world: World) -> None:
    world.ticks(96, 2)
    assert world.wakes == 0
    world.ticks(96)
    assert (world.wakes, world.watch.level) == (1, Level.RECYCLE)
    world.watch.reset()
    assert world.watch.level is Level.CALM


def test_evidence_is_there_before_the_kernel_strikes_and_gone_when_it_did_not(world: World) -> None:
    world.ticks(85, 2)
    assert not world.evidence.exists()
    with world.admission.room_for(77):
        world.ticks(85)
    told = json.loads(world.evidence.read_text())
    assert told["reason"] == "OutOfMemory"
    assert "85 MiB of 100 MiB" in told["message"]
    assert "longest prompt 77 tokens" in told["message"]
    world.ticks(50)
    assert world.evidence.read_text() == ""


def test_a_kill_is_counted_once_and_followed_up(world: World) -> None:
    world.ticks(50, 2, kills=1)
    assert world.series(names.METRIC_NODE_OOM_KILLS) == 1
    assert world.wakes == 1


def test_nothing_is_said_where_nothing_is_known(world: World) -> None:
    world.watch.tick(None, None, 1)
    world.watch.tick(Memory(5, None, 0), None, 2)
    assert world.series(names.METRIC_NODE_MEMORY_SHARE, source="host") is None


BLOCKS = 'nv_trt_llm_kv_cache_block_metrics{kv_cache_block_type="%s",model="m",version="1"} %s\n'


@pytest.mark.parametrize(
    ("page", "share"),
    [
        ("", None),
        (BLOCKS % ("used", 30) + BLOCKS % ("max", 40) + BLOCKS % ("free", 10), 0.75),
        (BLOCKS % ("max", 40), None),
        (BLOCKS % ("max", 0) + BLOCKS % ("used", 0), None),
    ],
)
def test_key_value_blocks_of_a_gpu(page: str, share: float | None) -> None:
    assert device_share(page) == share
