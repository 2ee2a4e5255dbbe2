"""A real Redis on the address that pods of the local cluster reach this machine by; stopped by its own process."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, sleep

import pytest

from autoglm_localcluster import layout
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.ports import free_port

_PASSWORD = "open-sesame"


@dataclass(frozen=True)
class NodeRedis:
    """A running server."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        """Its URL with the password, for pods."""
        return f"redis://:{_PASSWORD}@{layout.NODE_ADDRESS}:{self.port}/0"

    def ask(self, *words: str) -> str:
        """Run one command and return what redis-cli prints."""
        where = ("-h", layout.NODE_ADDRESS, "-p", str(self.port), "-a", _PASSWORD, "--no-auth-warning")
        result = subprocess.run(["redis-cli", *where, *words], capture_output=True, text=True, check=True, timeout=10)
        return result.stdout.strip()


@contextmanager
def node_redis(cluster: Cluster) -> Iterator[NodeRedis]:
    """Start a server without a disk; skips where pods do not reach this machine or there is no redis-server."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    if cluster.provider != "local":
        pytest.skip("pods of this cluster do not reach a process of this machine")
    port = free_port(layout.NODE_ADDRESS)
    command = [program, "--port", str(port), "--bind", layout.NODE_ADDRESS, "--save", "", "--requirepass", _PASSWORD]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_listening(port, within_seconds=10)
        yield NodeRedis(port, process)
    finally:
        process.kill()
        process.wait()


def _wait_listening(port: int, within_seconds: float) -> None:
    deadline = monotonic() + within_seconds
    while True:
        try:
            socket.create_connection((layout.NODE_ADDRESS, port), timeout=1).close()
        except OSError:
            if monotonic() > deadline:
                raise
            sleep(0.05)
        else:
            return
