"""The memory guard of a whole node below a real limit of the kernel's; where we may make one (root)."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from autoglm_api import names
from autoglm_node.memory_guard import Level
from support.control_group import ControlGroup, control_group
from support.node_artifacts import engine_spec, write_artifact
from support.node_process import NodeProcess, node_process, wait_for

MIB = 1 << 20
LIMIT = 1024 * MIB
ASK = {"model": "glm-test", "messages": [{"role": "user", "content": "price?"}], "max_tokens": 4}
HOLD = "import sys; held = bytearray(b'x') * int(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


@pytest.fixture
def group() -> Iterator[ControlGroup]:
    with control_group("autoglm-test", LIMIT) as made:
        if made is None:
            pytest.skip("no control group can be made here")
        yield made


@pytest.fixture
def node(group: ControlGroup, tmp_path: Path) -> Iterator[NodeProcess]:
    spec = engine_spec(write_artifact(tmp_path / "model"), reclaim_interval_seconds=5)
    with ExitStack() as stack:
        started = group.inside(
            lambda: stack.enter_context(node_process(spec, tmp_path / "run", "--propagation-seconds", "0"))
        )
        started.wait_ready()
        yield started


@contextmanager
def held(group: ControlGroup, size: int) -> Iterator[subprocess.Popen[bytes]]:
    """A neighbour in the group that holds so many bytes."""
    command = [sys.executable, "-c", HOLD, str(size)]
    process = group.inside(lambda: subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
    try:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def share(node: NodeProcess) -> float:
    return node.metric(names.METRIC_NODE_MEMORY_SHARE)


def ask(node: NodeProcess) -> httpx.Response:
    return httpx.post(f"{node.url}{names.PATH_CHAT}", json=ASK, timeout=30)


def test_pressure_is_what_the_kernel_says(node: NodeProcess, group: ControlGroup) -> None:
    wait_for(lambda: 0.02 < share(node) < 0.6, 5, "first reading")
    reclaims = node.metric(names.METRIC_ENGINE_RECLAIMS)
    with held(group, round((0.86 - share(node)) * LIMIT)):
        wait_for(lambda: node.metric(names.METRIC_NODE_MEMORY_PRESSURE) >= Level.RECLAIM, 8, "pressure")
        assert 0.8 < share(node) < 0.92
        assert ask(node).status_code == 200
        wait_for(lambda: node.metric(names.METRIC_ENGINE_RECLAIMS) > reclaims, 8, "reclaim in the engine")
    wait_for(lambda: node.metric(names.METRIC_NODE_MEMORY_PRESSURE) == Level.CALM, 8, "calm")


def test_a_process_that_the_kernel_kills_is_counted_and_the_node_goes_on(
    node: NodeProcess, group: ControlGroup
) -> None:
    with held(group, LIMIT) as greedy:
        assert greedy.wait(20) == -9
    wait_for(lambda: node.metric(names.METRIC_NODE_OOM_KILLS) >= 1, 5, "count")
    node.wait_ready()
    assert ask(node).status_code == 200
