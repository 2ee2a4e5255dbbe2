"""How a node begins and ends: drain, leftovers, broken models, a dead Triton."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import tritonclient.grpc as triton
from google.protobuf import json_format

from autoglm_api import names
from autoglm_node import repository, triton_server
from autoglm_node.settings import TritonPorts
from autoglm_shop import artifact as shop_artifact
from support.node_artifacts import SLOW_LAYERS, engine_spec, write_artifact
from support.node_process import NodeProcess, free_ports, node_process, wait_for
from support.triton import triton_root

QUICK_ANSWER = {"model": "glm-test", "messages": [{"role": "user", "content": "price?"}], "max_tokens": 8}
LONG_STREAM = {**QUICK_ANSWER, "max_tokens": 490, "stream": True}


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("quick") / "model")


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("slow") / "model", SLOW_LAYERS)


class Callers:
    """Keep-alive clients, each asking again as soon as it is answered, until it is sent elsewhere."""

    def __init__(self, node: NodeProcess, count: int) -> None:
        self.answers: list[tuple[int, str | None]] = []
        self._url = f"{node.url}{names.PATH_CHAT}"
        self._gone = threading.Event()
        self._pool = ThreadPoolExecutor(count)
        self._tasks = [self._pool.submit(self._call) for _ in range(count)]

    def _call(self) -> None:
        with httpx.Client(timeout=30) as client:
            while not self._gone.is_set():
                try:
                    answer = client.post(self._url, json=QUICK_ANSWER)
                except httpx.ConnectError:
                    return  # nothing was sent: not accepted, not lost
                self.answers.append((answer.status_code, answer.headers.get(names.HEADER_DRAINING)))
                if answer.status_code != 200:
                    return

    def finish(self) -> None:
        self._gone.set()
        for task in self._tasks:
            task.result(30)
        self._pool.shutdown()


def processes_and_memory(node: NodeProcess) -> tuple[list[psutil.Process], list[Path]]:
    return node.family(), list(Path("/dev/shm").glob(f"autoglm_{node.process.pid}_*"))


def test_drain_loses_no_query_and_leaves_nothing_behind(quick: Path, tmp_path: Path) -> None:
    with node_process(engine_spec(quick), tmp_path, "--propagation-seconds", "1") as node:
        node.wait_ready()
        callers = Callers(node, 3)
        wait_for(lambda: len(callers.answers) > 10, 10, "load")
        family, shared_memory = processes_and_memory(node)
        node.process.send_signal(signal.SIGTERM)
        wait_for(lambda: not node.is_ready(), 2, "unready node")
        served = len(callers.answers)
        assert node.wait_exit() == 0
        callers.finish()
    outcomes = set(callers.answers)
    assert outcomes <= {(200, None), (503, "1")}
    assert len(callers.answers) > served, "nothing was served while endpoints caught up"
    assert len(shared_memory) > 0
    assert not [one for one in family if one.is_running()]
    assert not [region for region in shared_memory if region.exists()]


def test_what_the_drain_cannot_wait_for_gets_an_error(slow: Path, tmp_path: Path) -> None:
    with node_process(engine_spec(slow, drain_seconds=0), tmp_path, "--propagation-seconds", "0") as node:
        node.wait_ready()
        with httpx.stream("POST", f"{node.url}{names.PATH_CHAT}", json=LONG_STREAM, timeout=30) as stream:
            lines = stream.iter_lines()
            next(lines)
            httpx.post(f"{node.admin_url}{names.PATH_DRAIN}").raise_for_status()
            rest = [line for line in lines if line]
        assert node.wait_exit() == 0
    assert json.loads(rest[-1].removeprefix("data: "))["error"]["code"] == "evicted"


def ended(node: NodeProcess) -> tuple[int, dict[str, Any]]:
    code = node.wait_exit()
    return code, json.loads(node.termination_message.read_text())


def test_a_changed_model_file_is_refused(quick: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(quick, tmp_path / "model"))
    (model / "model.onnx").write_bytes(b"changed")
    with node_process(engine_spec(model), tmp_path / "run") as node:
        code, told = ended(node)
    assert (code, told["phase"], told["reason"]) == (names.EXIT_BAD_REPOSITORY, "Validate", "BadArtifact")


def test_a_model_that_does_not_load_says_why(quick: Path, tmp_path: Path) -> None:
    model = Path(shutil.copytree(quick, tmp_path / "model"))
    (model / "model.onnx").write_bytes(b"no graph")
    shop_artifact.seal(model)
    with node_process(engine_spec(model), tmp_path / "run") as node:
        code, told = ended(node)
    assert (code, told["phase"], told["reason"]) == (names.EXIT_ENGINE_LOAD, "Start", "ModelNotLoaded")
    assert "glm-test" in told["message"]


def test_a_triton_that_crashes_while_its_engine_is_replaced_is_started_anew(quick: Path, tmp_path: Path) -> None:
    with node_process(engine_spec(quick), tmp_path) as node:
        node.wait_ready()
        (server,) = [one for one in node.family() if one.name() == "tritonserver"]
        node.stub().kill()
        wait_for(lambda: "Serve -> Heal" in node.log.read_text(), 15, "healing")
        server.kill()
        node.wait_ready()
        assert httpx.get(f"{node.admin_url}{names.PATH_HEALTHZ}").status_code == 200
        assert "Triton is started anew" in node.log.read_text()
        assert _left(node) == []
        assert httpx.post(f"{node.url}{names.PATH_CHAT}", json=QUICK_ANSWER, timeout=30).status_code == 200


def _mapped(node: NodeProcess) -> set[int]:
    """The shared memory that living processes of the node hold, by inode."""
    maps = (Path(f"/proc/{one.pid}/maps").read_text().splitlines() for one in node.family())
    return {int(line.split()[4]) for lines in maps for line in lines if "/dev/shm/" in line}


def _left(node: NodeProcess) -> list[Path]:
    """The regions of shared memory that no living process holds."""
    held = _mapped(node)
    return [one for one in Path("/dev/shm").glob(f"autoglm_{node.process.pid}_*") if one.stat().st_ino not in held]


def test_a_replaced_engine_leaves_no_shared_memory(quick: Path, tmp_path: Path) -> None:
    with node_process(engine_spec(quick), tmp_path) as node:
        node.wait_ready()
        node.stub().kill()
        wait_for(lambda: "Heal -> Serve" in node.log.read_text(), 30, "healed engine")
        assert _left(node) == []


def test_an_engine_that_hangs_is_noticed_and_replaced(quick: Path, tmp_path: Path) -> None:
    with node_process(engine_spec(quick), tmp_path) as node:
        node.wait_ready()
        hanging = node.stub()
        hanging.suspend()
        wait_for(lambda: not node.is_ready(), 20, "sign of the hanging engine")
        refused = httpx.post(f"{node.url}{names.PATH_CHAT}", json=QUICK_ANSWER, timeout=30)
        assert (refused.status_code, refused.headers[names.HEADER_DRAINING]) == (503, "1")
        wait_for(node.is_ready, 30, "new engine")
        assert not hanging.is_running() or hanging.status() == psutil.STATUS_ZOMBIE
        assert httpx.post(f"{node.url}{names.PATH_CHAT}", json=QUICK_ANSWER, timeout=30).status_code == 200


def test_a_dead_triton_ends_the_node(quick: Path, tmp_path: Path) -> None:
    with node_process(engine_spec(quick), tmp_path) as node:
        node.wait_ready()
        stub = node.stub()
        (server,) = [one for one in node.family() if one.name() == "tritonserver"]
        server.kill()
        code, told = ended(node)
    assert (code, told["reason"]) == (names.EXIT_ENGINE_DEAD, "TritonExited")
    assert not stub.is_running()


def test_a_triton_that_dies_with_a_query_inside_ends_the_node_and_the_query(slow: Path, tmp_path: Path) -> None:
    with node_process(engine_spec(slow), tmp_path) as node, ThreadPoolExecutor(1) as pool:
        node.wait_ready()
        query = pool.submit(
            httpx.post, f"{node.url}{names.PATH_CHAT}", json={**LONG_STREAM, "stream": False}, timeout=60
        )
        wait_for(lambda: node.metric(names.METRIC_ENGINE_RUNNING) == 1, 10, "query inside")
        (server,) = [one for one in node.family() if one.name() == "tritonserver"]
        server.kill()
        code, told = ended(node)
        assert query.result().json()["error"]["code"] == "engine_failed"
    assert (code, told["reason"]) == (names.EXIT_ENGINE_DEAD, "TritonExited")


@pytest.fixture
def stand_in_triton(tmp_path: Path) -> Iterator[triton.InferenceServerClient]:
    """A Triton whose repository has the TensorRT-LLM configuration, with the Python backend in its place."""
    spec = engine_spec(tmp_path, backend="TensorRTLLM", gpus=1)
    models = repository.write(tmp_path, spec, 1)
    config = models / "glm-test" / "config.pbtxt"
    config.write_text(config.read_text().replace('backend: "tensorrtllm"', 'backend: "python"'))
    (models / "glm-test" / "1" / "model.py").write_text("class TritonPythonModel:\n    pass\n")
    ports = TritonPorts(*free_ports(3))
    command = triton_server.command_for(spec, triton_root(), triton_root() / "backends", models, ports, "x")
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "--load-model=glm-test"],
            env=triton_server.environment_for(triton_root(), os.environ),
            stdout=log,
            stderr=log,
        )
    client = triton.InferenceServerClient(f"127.0.0.1:{ports.grpc}")
    try:
        wait_for(lambda: process.poll() is not None or is_ready(client), 30, "loaded model")
        assert process.poll() is None, (tmp_path / "log").read_text()
        yield client
    finally:
        client.close()
        process.terminate()
        process.wait(20)


def is_ready(client: triton.InferenceServerClient) -> bool:
    try:
        return bool(client.is_model_ready("glm-test"))
    except triton.InferenceServerException:
        time.sleep(0.1)
        return False


def test_triton_accepts_the_tensorrt_llm_configuration(
    stand_in_triton: triton.InferenceServerClient, tmp_path: Path
) -> None:
    ours = json_format.MessageToDict(repository.config_for(engine_spec(tmp_path, backend="TensorRTLLM", gpus=1), 1))
    theirs = json_format.MessageToDict(stand_in_triton.get_model_config("glm-test").config)
    for field in ("name", "maxBatchSize", "input", "output", "parameters", "modelTransactionPolicy"):
        assert same(ours[field], theirs[field]), field


def same(ours: Any, theirs: Any) -> bool:
    """Whether everything that we wrote is there; Triton adds defaults."""
    match ours:
        case dict():
            return all(name in theirs and same(value, theirs[name]) for name, value in ours.items())
        case list():
            return len(ours) == len(theirs) and all(map(same, ours, theirs))
        case _:
            return bool(ours == theirs)
