"""Our node runtime with the real engine, for the scenarios."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import psutil

from autoglm_api import names
from support.node_artifacts import QUICK_LAYERS, SLOW_LAYERS, engine_spec, write_artifact
from support.node_process import NodeProcess, node_process

QUICK: Final = QUICK_LAYERS
SLOW: Final = SLOW_LAYERS


@contextmanager
def node(directory: Path, *, layers: int = QUICK, concurrency: int = 4) -> Iterator[NodeProcess]:
    """Run a node with a small model (QUICK or SLOW) until the block ends; it is ready when the block begins."""
    model = write_artifact(directory / "model", layers)
    spec = engine_spec(model, concurrency=concurrency, drain_seconds=20)
    with node_process(spec, directory / "run", "--propagation-seconds", "1") as worker:
        worker.wait_ready()
        yield worker


def triton_port(worker: NodeProcess) -> int:
    """Return the HTTP port, on loopback, of the Triton inside."""
    arguments = psutil.Process(worker.process.pid).cmdline()
    return int(arguments[arguments.index("--triton-ports") + 1])


def chat(tokens: int, text: str = "price?", *, stream: bool = False) -> dict[str, object]:
    """Return a chat query that wants so many tokens."""
    messages = [{"role": "user", "content": text}]
    return {"model": "glm-test", "messages": messages, "max_tokens": tokens, "stream": stream}


def ask(
    worker: NodeProcess, tokens: int, headers: Mapping[str, str] | None = None, text: str = "price?"
) -> httpx.Response:
    """Ask over a connection of its own."""
    return httpx.post(f"{worker.url}{names.PATH_CHAT}", json=chat(tokens, text), headers=headers, timeout=60)
