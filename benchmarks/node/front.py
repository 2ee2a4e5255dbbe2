"""CPU of our front per query and per streamed event, and of its parts, on a whole worker with the real Triton.

    PYTHONPATH=tests python benchmarks/node/front.py [--rounds N] [--queries N]

"alone": one client, so the processor does something else between two queries and has forgotten our code and data;
"4 clients": the front has the next query at once. The parts: a liveness call (HTTP and nothing else); the client that
asks Triton, over HTTP as the front does it, and by tritonclient's gRPC stream, in a process of their own.
Goal: below 0.5 ms for a short query. Rounds alternate; medians are printed. CPU time, all threads of the process.
"""

import argparse
import os
import platform
import re
import statistics
import tempfile
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, suppress
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson
import uvloop
from tritonclient.grpc import InferInput
from tritonclient.grpc.aio import InferenceServerClient

from autoglm_api import names
from autoglm_node.event_client import EventClient
from autoglm_node.query import Generation
from autoglm_node.settings import TritonPorts
from support.node_artifacts import engine_spec, write_artifact
from support.node_process import NodeProcess, node_process

SHORT, LONG = 3, 150  # tokens of a reply
CLIENTS: Final = 4
LAYERS: Final = 24
MODEL: Final = "glm-test"


def main() -> None:
    """Start a worker and measure it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--queries", type=int, default=400, help="of each kind, in a round")
    given = parser.parse_args()
    print(f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with tempfile.TemporaryDirectory() as directory:
        spec = engine_spec(write_artifact(Path(directory) / "model", LAYERS), concurrency=CLIENTS)
        with node_process(spec, Path(directory), "--propagation-seconds", "0") as node:
            node.wait_ready()
            for name, values in measured(node, given.rounds, given.queries).items():
                print(f"{name}: {statistics.median(values):.3f} ms ({min(values):.3f} to {max(values):.3f})")


def measured(node: NodeProcess, rounds: int, queries: int) -> dict[str, list[float]]:
    """Return milliseconds by what was measured."""
    found: dict[str, list[float]] = {}
    ours, triton = node.process.pid, triton_ports(node)
    for _ in range(rounds):
        for name, pid, count, work in [
            ("liveness call, alone", ours, queries, lambda: ask(node, queries, "GET", "/v2/health/live")),
            ("short query, alone", ours, queries, lambda: chats(node, queries, SHORT)),
            (f"short query, {CLIENTS} clients", ours, queries, lambda: at_once(node, queries)),
            ("asking Triton over HTTP, alone", os.getpid(), queries, lambda: uvloop.run(by_http(triton, queries))),
            ("asking Triton by gRPC, alone", os.getpid(), queries, lambda: uvloop.run(by_grpc(triton, queries))),
        ]:
            found.setdefault(name, []).append(spent(pid, work)[0] / count)
        for name, value in streamed(node, max(1, queries // 20)).items():
            found.setdefault(name, []).append(value)
    return found


def streamed(node: NodeProcess, queries: int) -> dict[str, float]:
    """Return what a long stream costs more than a short one, by event and by token."""
    short, few = spent(node.process.pid, lambda: chats(node, queries, SHORT, stream=True))
    long, many = spent(node.process.pid, lambda: chats(node, queries, LONG, stream=True))
    return {
        "streamed event": (long - short) / (many - few),
        "streamed token": (long - short) / (queries * (LONG - SHORT)),
    }


def spent(pid: int, work: Callable[[], int]) -> tuple[float, int]:
    """Return the milliseconds of CPU that a process spent while the work was done, and what the work returned."""
    before = cpu_milliseconds(pid)
    result = work()
    return cpu_milliseconds(pid) - before, result


def cpu_milliseconds(pid: int) -> float:
    """Return what the threads of a process have spent so far."""
    spent_by = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has just ended
            spent_by += int((task / "schedstat").read_text().split()[0])
    return spent_by / 1e6


def chats(node: NodeProcess, queries: int, tokens: int, *, stream: bool = False) -> int:
    """Ask one query after the other; return how many events came."""
    messages = [{"role": "user", "content": "What does the kettle cost?"}]
    body = orjson.dumps({"model": MODEL, "messages": messages, "max_tokens": tokens, "stream": stream})
    return ask(node, queries, "POST", names.PATH_CHAT, body)


def ask(node: NodeProcess, queries: int, method: str, path: str, body: bytes | None = None) -> int:
    """Send one request after the other on one connection; return how many events came."""
    connection, events = HTTPConnection(node.url.removeprefix("http://")), 0
    for _ in range(queries):
        connection.request(method, path, body)
        answer = connection.getresponse()
        content = answer.read()
        if answer.status != 200:
            raise RuntimeError(f"{path}: {answer.status} {content[:200]!r}")
        events += content.count(b"data: ")
    connection.close()
    return events


def at_once(node: NodeProcess, queries: int) -> int:
    """Share queries among clients that ask at the same time."""
    clients = [threading.Thread(target=chats, args=(node, queries // CLIENTS, SHORT)) for _ in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    return 0


def triton_ports(node: NodeProcess) -> TritonPorts:
    """Return where the worker's Triton listens."""
    command = " ".join(node.family()[0].cmdline())
    found = {name: int(port) for name, port in re.findall(r"--(http|grpc|metrics)-port=(\d+)", command)}
    return TritonPorts(**found)


async def by_http(ports: TritonPorts, queries: int) -> int:
    """Ask Triton as the front does."""
    client, tokens = EventClient(ports, MODEL), 0
    for _ in range(queries):
        async with aclosing(client.generate(Generation([7, 8, 9], SHORT))) as pieces:
            tokens += sum([len(piece.token_ids) async for piece in pieces])
    await client.close()
    return tokens


async def by_grpc(ports: TritonPorts, queries: int) -> int:
    """Ask Triton with the library, by one stream for each query, as the front did until November 2026."""
    client, responses = InferenceServerClient(ports.grpc_address), 0
    for _ in range(queries):
        stream = client.stream_infer(_request())
        async for result, error in stream:
            if error is not None:
                raise error
            responses += 1
            if result.as_numpy("finish_reason")[0]:
                break
        stream.cancel()
    await client.close()
    return responses


async def _request() -> AsyncIterator[dict[str, Any]]:
    yield {"model_name": MODEL, "inputs": list(_inputs())}


def _inputs() -> Iterator[InferInput]:
    for name, values in (("input_ids", [7, 8, 9]), ("max_tokens", [SHORT])):
        tensor = InferInput(name, [len(values)], "INT32")
        tensor.set_data_from_numpy(np.array(values, dtype=np.int32))
        yield tensor


if __name__ == "__main__":
    main()
