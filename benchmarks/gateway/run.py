"""CPU time per query of the gateway and of a plain aiohttp proxy, side by side on this machine.

    python benchmarks/gateway/run.py [--queries N] [--streams N] [--rounds N] [--out FILE]

Each is one process in front of the same two replicas that answer at once; the same closed-loop client asks both, in
turns, round after round, and the round with the least CPU time counts (neighbours only ever add to it). CPU time of
the process (user and system) is the dependable figure on a shared machine; rates and latencies depend on who else
runs. Prints a table and writes a JSON record.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil
import uvloop

from autoglm_transport.client import UpstreamPool

HERE: Final = Path(__file__).resolve().parent
HOST: Final = "127.0.0.1"
CONNECTIONS: Final = 16
CHUNKS: Final = 64
PROMPT: Final = (
    "Shop list: white table 47 euros, 78 left, 5 days; black bottle 59 euros, 88 left, 5 days; white chair 32 euros, "
    "26 left, 4 days. i want to buy 4 tables and get a discount of 50 percent. what is the total? Thanks."
)
CONFIG: Final = {
    "deployment": "shop-assistant",
    "namespace": "bench",
    "pools": [
        {"name": "light", "serves": "Simple", "modelName": "glm-light", "concurrencyPerReplica": 64},
        {"name": "large", "serves": "Complex", "modelName": "glm-large", "concurrencyPerReplica": 64},
    ],
    "routing": {"overrideHeader": "X-AutoGLM-Class"},
    "maxBodyBytes": 4194304,
}
PACKAGES: Final = ("uvloop", "httptools", "orjson", "aiohttp", "prometheus-client")


@dataclass(frozen=True)
class Figures:
    """One measurement: microseconds of the process's CPU per unit, units per second, milliseconds of latency."""

    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float


@contextmanager
def started(*command: str, pattern: str = r"^(\d+)$", stream: str = "stdout") -> Iterator[tuple[psutil.Process, int]]:
    """Run a process that tells its port; ends it afterwards."""
    pipes = {stream: subprocess.PIPE}
    process = subprocess.Popen([sys.executable, *command], text=True, **pipes)  # type: ignore[call-overload]
    try:
        line = getattr(process, stream).readline()
        found = re.search(pattern, line)
        if found is None:
            raise RuntimeError(f"{command} said {line!r} instead of its port")
        yield psutil.Process(process.pid), int(found[1])
    finally:
        process.terminate()
        process.wait()


def gateway_command(ports: list[int], directory: Path) -> list[str]:
    """Return the command line of the gateway in front of these replicas."""
    config = directory / "gateway.json"
    config.write_text(json.dumps(CONFIG))
    endpoints = f"{HOST}:{ports[0]}=light,{HOST}:{ports[1]}=large"
    ports_of_own = ["--host", HOST, "--port", "0", "--admin-port", "0"]
    return ["-m", "autoglm_gateway", *ports_of_own, "--config", str(config), "--endpoints", endpoints]


async def ask(client: UpstreamPool, port: int, body: bytes) -> float:
    """Ask once; returns the seconds until the last byte."""
    began = time.perf_counter()
    async with await client.request(HOST, port, "POST", "/v1/chat/completions", (), body) as response:
        text = await response.read(10_000_000)
    if response.status != 200 or not text:
        raise RuntimeError(f"answered {response.status}: {text[:200]!r}")
    return time.perf_counter() - began


async def load(port: int, body: bytes, count: int) -> list[float]:
    """Ask `count` times over a fixed number of connections; returns all latencies in seconds."""
    client = UpstreamPool()

    async def worker(share: int) -> list[float]:
        return [await ask(client, port, body) for _ in range(share)]

    shares = await asyncio.gather(*(worker(count // CONNECTIONS) for _ in range(CONNECTIONS)))
    await client.close()
    return [seconds for share in shares for seconds in share]


def cpu_seconds(process: psutil.Process) -> float:
    """Return user and system time of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(process: psutil.Process, port: int, body: bytes, count: int, units: int) -> Figures:
    """Measure one round; `units` are the things counted per query (1, or the chunks of a stream)."""
    before, began = cpu_seconds(process), time.perf_counter()
    latencies = sorted(await load(port, body, count))
    wall, used = time.perf_counter() - began, cpu_seconds(process) - before
    total = len(latencies) * units
    return Figures(
        cpu_us=used / total * 1e6,
        per_second=total / wall,
        p50_ms=latencies[len(latencies) // 2] * 1e3,
        p99_ms=latencies[int(len(latencies) * 0.99)] * 1e3,
    )


def chat(*, stream: bool) -> bytes:
    """Return the body of a query."""
    body = {"model": "shop-assistant", "messages": [{"role": "user", "content": PROMPT}], "stream": stream}
    return json.dumps(body, separators=(",", ":")).encode()


def best_of(rounds: list[Figures]) -> Figures:
    """Return the round with the least CPU time: the one that others disturbed least."""
    return min(rounds, key=lambda one: one.cpu_us)


async def compare(
    targets: dict[str, tuple[psutil.Process, int]], arguments: argparse.Namespace
) -> dict[str, dict[str, Figures]]:
    """Measure all targets in turns."""
    kinds = {
        "query": (chat(stream=False), arguments.queries, 1),
        "chunk": (chat(stream=True), arguments.streams, CHUNKS),
    }
    rounds: dict[str, dict[str, list[Figures]]] = {kind: {name: [] for name in targets} for kind in kinds}
    for name, (_, port) in targets.items():
        await load(port, chat(stream=False), 20 * CONNECTIONS)  # connections and caches are warm, as in service
        print(f"warmed {name}")
    for number in range(arguments.rounds):
        for kind, (body, count, units) in kinds.items():
            for name, (process, port) in targets.items():
                rounds[kind][name].append(await measure(process, port, body, count, units))
        print(f"round {number + 1} of {arguments.rounds}")
    return {kind: {name: best_of(list_) for name, list_ in by_name.items()} for kind, by_name in rounds.items()}


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return {
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        **{package: version(package) for package in PACKAGES},
    }


def table(results: dict[str, dict[str, Figures]]) -> str:
    """Return the results for people."""
    lines = [f"{'':10}{'CPU us':>10}{'per s':>10}{'p50 ms':>10}{'p99 ms':>10}"]
    for kind, by_name in results.items():
        lines.append(f"per {kind}" + (" (the latencies are of whole streams)" if kind == "chunk" else ""))
        for name, one in by_name.items():
            lines.append(f"  {name:8}{one.cpu_us:10.1f}{one.per_second:10.0f}{one.p50_ms:10.2f}{one.p99_ms:10.2f}")
        ratio = by_name["aiohttp"].cpu_us / by_name["gateway"].cpu_us
        lines.append(f"  aiohttp needs {ratio:.1f} times the CPU of the gateway")
    return "\n".join(lines)


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=3200)
    parser.add_argument("--streams", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("build/bench/gateway.json"))
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [stack.enter_context(started(str(HERE / "upstream.py")))[1] for _ in range(2)]
        command = gateway_command(ports, directory)
        gateway = stack.enter_context(started(*command, pattern=r"serving on port (\d+)", stream="stderr"))
        peer = stack.enter_context(started(str(HERE / "peer_aiohttp.py"), *map(str, ports)))
        results = uvloop.run(compare({"gateway": gateway, "aiohttp": peer}, arguments))
    print(table(results))
    record = {
        "machine": machine(),
        "settings": {"connections": CONNECTIONS, "queries": arguments.queries, "streams": arguments.streams},
        "best": {kind: {name: asdict(one) for name, one in by.items()} for kind, by in results.items()},
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=2) + "\n")
    print(f"recorded in {arguments.out}")


if __name__ == "__main__":
    main()
