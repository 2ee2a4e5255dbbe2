"""A real Triton on a repository whose models run in the Python backend in place of the backend that is configured."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import tritonclient.grpc as triton

from autoglm_api.config import EngineSpec
from autoglm_node import repository, triton_server
from autoglm_node.settings import TritonPorts
from support.node_process import free_ports, wait_for
from support.triton import triton_root

EXIT_SECONDS = 5


@contextmanager
def stand_in(root: Path, spec: EngineSpec) -> Iterator[str]:
    """Run Triton on the repository below `root`; gives its gRPC address once the spec's model is ready."""
    ports = TritonPorts(*free_ports(3))
    models = root / repository.DIRECTORY
    command = triton_server.command_for(spec, triton_root(), triton_root() / "backends", models, ports, "x")
    with (root / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, f"--load-model={spec.model_name}"],
            env=triton_server.environment_for(triton_root(), os.environ),
            stdout=log,
            stderr=log,
        )
    address = f"127.0.0.1:{ports.grpc}"
    try:
        with triton.InferenceServerClient(address) as client:
            wait_for(lambda: process.poll() is not None or _is_ready(client, spec.model_name), 30, "loaded model")
        assert process.poll() is None, (root / "log").read_text()
        yield address
    finally:
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop Triton and what it started; it sometimes waits half a minute for a request that is answered."""
    started = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(EXIT_SECONDS)
    process.kill()
    for one in started:
        with suppress(psutil.NoSuchProcess):
            one.kill()
    process.wait()


def _is_ready(client: triton.InferenceServerClient, model: str) -> bool:
    try:
        return bool(client.is_model_ready(model))
    except triton.InferenceServerException:
        time.sleep(0.1)
        return False
