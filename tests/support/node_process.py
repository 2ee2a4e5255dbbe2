"""A whole node runtime for contract tests: our process, the real Triton, the real engine."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import psutil

from autoglm_api.config import EngineSpec
from support.triton import triton_root

START_SECONDS = 60


class NodeProcess:
    """A running `python -m autoglm_node`."""

    def __init__(
        self, process: subprocess.Popen[bytes], port: int, admin_port: int, directory: Path, grpc_port: int
    ) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.grpc = f"127.0.0.1:{grpc_port}"
        self.admin_url = f"http://127.0.0.1:{admin_port}"
        self.log = directory / "node.log"
        self.termination_message = directory / "termination-log"

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.admin_url}/readyz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def is_ready_or_ended(self) -> bool:
        return self.process.poll() is not None or self.is_ready()

    def wait_ready(self) -> None:
        wait_for(self.is_ready_or_ended, START_SECONDS, f"ready node (log: {self.log})")
        assert self.process.poll() is None, self.log.read_text()

    def wait_exit(self, seconds: float = 40) -> int:
        return self.process.wait(seconds)

    def metric(self, name: str) -> float:
        page = httpx.get(f"{self.admin_url}/metrics", timeout=5).text
        values = [float(line.rsplit(" ", 1)[1]) for line in page.splitlines() if line.split("{")[0].split()[0] == name]
        return sum(values)

    def family(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stub(self) -> psutil.Process:
        (stub,) = [one for one in self.family() if "triton_python_backend_stub" in " ".join(one.cmdline())]
        return stub


@contextmanager
def node_process(spec: EngineSpec, directory: Path, *arguments: str, **more: str) -> Iterator[NodeProcess]:
    """Start a node and stop it, with all that it started, at the end; `more` is environment."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "engine.json").write_text(json.dumps(spec.to_json()))
    ports = [str(port) for port in free_ports(6)]
    command = [sys.executable, "-m", "autoglm_node", "--spec", str(directory / "engine.json"), "--host", "127.0.0.1"]
    command += ["--port", ports[0], "--admin-port", ports[1], "--triton-ports", *ports[2:5]]
    command += ["--grpc-port", ports[5], *arguments]
    environment = {
        **os.environ,
        "AUTOGLM_TRITON_DIR": str(triton_root()),
        "AUTOGLM_WORK_DIR": str(directory / "work"),
        "AUTOGLM_TERMINATION_MESSAGE_PATH": str(directory / "termination-log"),
        **more,
    }
    with (directory / "node.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    node = NodeProcess(process, int(ports[0]), int(ports[1]), directory, int(ports[5]))
    family: list[psutil.Process] = []
    try:
        yield node
        if process.poll() is None:
            family = node.family()
            process.terminate()
            process.wait(40)
    finally:
        if process.poll() is None:
            family = node.family()
            process.kill()
            process.wait()
        for left in family:
            if left.is_running():
                left.kill()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on; all different because all are held until the last one is found."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [int(one.getsockname()[1]) for one in sockets]


def wait_for(happened: Callable[[], bool], seconds: float, what: str) -> float:
    """Wait until it happened; returns after how many seconds."""
    start = time.monotonic()
    while not happened():
        assert time.monotonic() - start < seconds, f"no {what} after {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - start
