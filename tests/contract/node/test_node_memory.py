"""The memory guard in a whole node: the kernel's files are stand-ins, all else is real."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from autoglm_api import names
from autoglm_node.memory_guard import Level
from support.node_artifacts import engine_spec, write_artifact
from support.node_process import NodeProcess, node_process, wait_for

MIB = 1 << 20
ASK = {"model": "glm-test", "messages": [{"role": "user", "content": "price?"}], "max_tokens": 4}


class Kernel:
    """A control group of version 2 whose figures the test sets; /proc of this machine names another one."""

    def __init__(self, root: Path) -> None:
        self._directory = root
        self._directory.mkdir()
        self.say(30)

    def say(self, percent: int, kills: int = 0) -> None:
        for version1 in (self._directory / "memory", self._directory):
            version1.mkdir(exist_ok=True)
            for name, text in {
                "memory.stat": f"inactive_file 0\ntotal_inactive_file 0\nhierarchical_memory_limit {100 * MIB}\n",
                "memory.max": str(100 * MIB),
                "memory.events": f"oom_kill {kills}\n",
                "memory.oom_control": f"oom_kill {kills}\n",
                "memory.usage_in_bytes": str(percent * MIB),
                "memory.current": str(percent * MIB),
            }.items():
                new = version1 / f"{name}.new"
                new.write_text(text)
                new.rename(version1 / name)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("memory") / "model")


@pytest.fixture
def kernel(tmp_path: Path) -> Kernel:
    return Kernel(tmp_path / "cgroup")


@pytest.fixture
def node(model: Path, tmp_path: Path, kernel: Kernel) -> Iterator[NodeProcess]:
    spec = engine_spec(model, reclaim_interval_seconds=5)
    more = {"AUTOGLM_CGROUP_DIR": str(tmp_path / "cgroup")}
    with node_process(spec, tmp_path / "run", "--propagation-seconds", "0", **more) as node:
        node.wait_ready()
        yield node


def ask(node: NodeProcess) -> httpx.Response:
    return httpx.post(f"{node.url}{names.PATH_CHAT}", json=ASK, timeout=30)


def level(node: NodeProcess) -> float:
    return node.metric(names.METRIC_NODE_MEMORY_PRESSURE)


def test_pressure_reclaims_sheds_recycles_and_ends(node: NodeProcess, kernel: Kernel) -> None:
    wait_for(lambda: node.metric(names.METRIC_NODE_MEMORY_SHARE) == 0.3, 3, "first reading")
    assert level(node) == Level.CALM
    before = node.metric(names.METRIC_ENGINE_RECLAIMS)
    kernel.say(85)
    wait_for(lambda: level(node) == Level.RECLAIM, 6, "pressure")
    assert ask(node).status_code == 200
    wait_for(lambda: node.metric(names.METRIC_ENGINE_RECLAIMS) > before, 6, "reclaim in the engine")
    assert "85 MiB of 100 MiB" in json.loads(node.termination_message.read_text())["message"]
    kernel.say(93)
    wait_for(lambda: level(node) == Level.SHED, 3, "shedding")
    refused = ask(node)
    assert (refused.status_code, refused.headers[names.HEADER_DRAINING]) == (503, "1")
    assert node.is_ready()
    stub = node.stub()
    kernel.say(97)
    wait_for(lambda: not node.is_ready(), 8, "recycling")
    kernel.say(40)  # what a new process needs
    wait_for(node.is_ready, 20, "new engine")
    assert not stub.is_running() or stub.status() == psutil.STATUS_ZOMBIE  # its parent is in no hurry
    assert ask(node).status_code == 200
    assert node.termination_message.read_text() == ""


def test_a_limit_that_no_engine_fits_below_is_said_and_ends_the_node(node: NodeProcess, kernel: Kernel) -> None:
    kernel.say(97)
    assert node.wait_exit(30) == names.EXIT_OUT_OF_MEMORY
    told = json.loads(node.termination_message.read_text())
    assert told["reason"] == "OutOfMemory"
    assert "raise resources.limits.memory" in told["message"]


def test_an_engine_that_the_kernel_killed_is_counted_and_replaced_at_once(node: NodeProcess, kernel: Kernel) -> None:
    node.stub().kill()
    kernel.say(30, kills=1)
    wait_for(lambda: not node.is_ready(), 4, "notice")
    wait_for(node.is_ready, 20, "new engine")
    assert node.metric(names.METRIC_NODE_OOM_KILLS) == 1
    assert ask(node).status_code == 200
