"""What a query costs at our gateway and at its peers, side by side under the same load in one run.

    python benchmarks/gateway/run.py [--rounds N] [--only NAME ...] [--quick] [--out FILE]

Each is one process in front of the same two replicas, which answer at once. The gateway runs with all it has: API keys
and limits, classification, the in-process cache (every query is looked up and none is found), queue, metrics. The peers
relay, and do nothing of that. The same closed loop of 16 connections asks all of them in turns, round after round; the
round with the least CPU time counts, as neighbours only ever add to it. CPU time (user and system, of the process with
all its children and threads) is the dependable figure on a shared machine; rates and latencies depend on who else runs.

Added latency is what a target takes longer than the replica itself, at half of the target's own highest rate.
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
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Final

import psutil
import uvloop
from load import Run, ask_all, chat, hold_open
from targets import TARGETS, Target, UnavailableError, install, running
from upstream import CHUNKS

CONNECTIONS: Final = 16
STREAM_CONNECTIONS: Final = 32
SIZES: Final = {"0.3 KB": 300, "4 KB": 4_000, "64 KB": 60_000}  # the JSON around it makes the last one 64 KB at most
HELD: Final = 1000
MIB: Final = 1 << 20
_LARGE: Final = 50_000
_VERY_SLOW: Final = 10
PACKAGES: Final = ("uvloop", "httptools", "orjson")


@dataclass
class Figures:
    """One target: CPU-us per query by payload and per chunk, queries per second, MiB, milliseconds."""

    version: str = ""
    query_us: dict[str, float] = field(default_factory=dict)
    per_second: float = 0.0
    chunk_us: float = 0.0
    held_mib: float = 0.0
    added_p50_ms: float = 0.0
    added_p99_ms: float = 0.0


@dataclass(frozen=True)
class Measured:
    """A target that runs."""

    target: Target
    process: psutil.Process
    port: int
    figures: Figures = field(default_factory=Figures)


@contextmanager
def replica() -> Iterator[int]:
    """Run a replica; gives its port."""
    command = [sys.executable, str(Path(__file__).with_name("upstream.py"))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        if process.stdout is None:
            raise RuntimeError("a pipe was asked for")
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()


def cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process, its children and all their threads."""
    total = 0.0
    for one in [process, *process.children(recursive=True)]:
        threads = list(Path(f"/proc/{one.pid}/task").glob("*/schedstat"))
        if threads:  # nanoseconds; the other source counts in hundredths of a second
            total += sum(int(path.read_text().split()[0]) for path in threads) / 1e9
        else:
            times = one.cpu_times()
            total += float(times.user + times.system)
    return total


def resident_bytes(process: psutil.Process) -> int:
    """Return the memory of a process and its children."""
    return sum(int(one.memory_info().rss) for one in [process, *process.children(recursive=True)])


async def queries(one: Measured, size: int, count: int, number: int) -> tuple[float, Run]:
    """Ask for whole answers; returns CPU-us per query and the run."""
    requests = [chat(number + n, prompt_bytes=size) for n in range(count)]
    before = cpu_seconds(one.process)
    run = await ask_all(one.port, requests, min(CONNECTIONS, count))
    return (cpu_seconds(one.process) - before) / count * 1e6, run


async def streams(one: Measured, count: int, number: int) -> float:
    """Ask for streams; returns CPU-us per chunk, with the streams' beginning and end in it."""
    requests = [chat(number + n, stream=True) for n in range(count)]
    before = cpu_seconds(one.process)
    await ask_all(one.port, requests, min(STREAM_CONNECTIONS, count))
    return (cpu_seconds(one.process) - before) / (count * CHUNKS) * 1e6


async def held(one: Measured) -> float:
    """Return the MiB that 1,000 open streams take."""
    count = HELD if one.target.slow < _VERY_SLOW else HELD // 10
    before = resident_bytes(one.process)
    writers = await hold_open(one.port, count)
    taken = resident_bytes(one.process) - before
    for writer in writers:
        writer.transport.abort()
    return taken / MIB * HELD / count


def _at(run: Run, share: float) -> float:
    return sorted(run.latencies)[int(len(run.latencies) * share)] * 1e3


async def added(one: Measured, direct: int, count: int, number: int) -> tuple[float, float]:
    """Return the added p50 and p99 in milliseconds at half of the target's own rate."""
    rate = one.figures.per_second / 2
    ours = await ask_all(one.port, [chat(number + n) for n in range(count)], 4 * CONNECTIONS, rate)
    plain = await ask_all(direct, [chat(number + n) for n in range(count)], 4 * CONNECTIONS, rate)
    return _at(ours, 0.5) - _at(plain, 0.5), _at(ours, 0.99) - _at(plain, 0.99)


async def measure_size(one: Measured, label: str, queries_: int, number: int) -> None:
    """Measure whole answers of one size of prompt."""
    size = SIZES[label]
    count = max(32, int(queries_ / one.target.slow / (1 if size < _LARGE else 4)))
    used, run = await queries(one, size, count, number)
    one.figures.query_us[label] = min(used, one.figures.query_us.get(label, used))
    if label == next(iter(SIZES)):
        one.figures.per_second = max(one.figures.per_second, count / run.seconds)


async def measure_chunks(one: Measured, streams_: int, number: int) -> None:
    """Measure streams."""
    used = await streams(one, max(8, streams_ // one.target.slow), number)
    one.figures.chunk_us = min(used, one.figures.chunk_us or used)


async def measure_latency(one: Measured, direct: int, queries_: int, number: int) -> None:
    """Measure what is added to the replica's own time."""
    p50, p99 = await added(one, direct, max(100, queries_ // one.target.slow), number)
    if not one.figures.added_p99_ms or p99 < one.figures.added_p99_ms:
        one.figures.added_p50_ms, one.figures.added_p99_ms = p50, p99


def steps(direct: int, arguments: argparse.Namespace, number: int) -> list[Callable[[Measured], Awaitable[None]]]:
    """Return what a round measures; every step goes through all targets before the next one begins."""
    sizes = [partial(measure_size, label=label, queries_=arguments.queries, number=number) for label in SIZES]
    chunks = partial(measure_chunks, streams_=arguments.streams, number=number)
    latency = partial(measure_latency, direct=direct, queries_=arguments.queries, number=number)
    return [*sizes, chunks, latency]


async def warm(one: Measured) -> None:
    """Fill connections and caches, as in service."""
    await queries(one, 300, 320 if one.target.slow < _VERY_SLOW else 16, 0)
    await streams(one, 8, 0)
    one.figures.version = one.target.version()


async def hold(one: Measured) -> None:
    """Measure the memory of open streams."""
    one.figures.held_mib = await held(one)


async def compare(all_: list[Measured], direct: int, arguments: argparse.Namespace, missing: dict[str, str]) -> None:
    """Measure all targets in turns; the least of all rounds is kept. One that fails is named and left out."""

    async def through(step: Callable[[Measured], Awaitable[None]]) -> None:
        for one in all_.copy():
            try:
                await step(one)
            except (RuntimeError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                missing[one.target.name] = f"it failed under load: {error!r}"[:200]
                all_.remove(one)

    await through(warm)
    for round_ in range(arguments.rounds):
        for step in steps(direct, arguments, (round_ + 1) * 1_000_000):
            await through(step)
        print(f"round {round_ + 1} of {arguments.rounds}", flush=True)
    await through(hold)


def machine() -> dict[str, object]:
    """Return what the figures depend on."""
    cpuinfo = Path("/proc/cpuinfo")
    models = re.findall(r"model name\s*: (.*)", cpuinfo.read_text()) if cpuinfo.exists() else []
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": models[0] if models else platform.processor(),
        "cores": os.cpu_count(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": os.getloadavg(),
        **{package: version(package) for package in PACKAGES},
    }


_ROWS: Final = [f"CPU us, {label}" for label in SIZES] + [
    "queries per s",
    "CPU us per chunk",
    "MiB per 1,000 streams",
    "added p50 ms",
    "added p99 ms",
]


def _cells(one: Figures) -> list[float]:
    rest = [one.per_second, one.chunk_us, one.held_mib, one.added_p50_ms, one.added_p99_ms]
    return [*(one.query_us[label] for label in SIZES), *rest]


def table(results: dict[str, Figures], missing: dict[str, str]) -> str:
    """Return the results as a table in Markdown, with what each peer needs for one unit of ours."""
    names = list(results)
    lines = ["| | " + " | ".join(f"{name} {results[name].version}".strip() for name in names) + " |"]
    lines.append("|---" * (len(names) + 1) + "|")
    columns = [_cells(one) for one in results.values()]
    for place, row in enumerate(_ROWS):
        cells = [f"{column[place]:,.0f}" if column[place] >= 1000 else f"{column[place]:.1f}" for column in columns]
        lines.append(f"| {row} | " + " | ".join(cells) + " |")
    if "gateway" in results:
        ours = results["gateway"]
        for label in SIZES:
            ratios = [f"{one.query_us[label] / ours.query_us[label]:.2f}" for one in results.values()]
            lines.append(f"| times the gateway's CPU, {label} | " + " | ".join(ratios) + " |")
        ratios = [f"{one.chunk_us / ours.chunk_us:.2f}" for one in results.values()]
        lines.append("| times the gateway's CPU, chunk | " + " | ".join(ratios) + " |")
    lines += [f"not measured: {name}: {why}" for name, why in missing.items()]
    return "\n".join(lines)


def parsed() -> argparse.Namespace:
    """Return the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--queries", type=int, default=4000)
    parser.add_argument("--streams", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=[one.name for one in TARGETS], help="these alone")
    parser.add_argument("--quick", action="store_true", help="one short round, to see that it works")
    parser.add_argument("--out", type=Path, default=Path("build/bench/gateway.json"))
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.queries, arguments.streams = 1, 1000, 32
    return arguments


def main() -> None:
    """Measure, print, record."""
    arguments = parsed()
    missing: dict[str, str] = {}
    all_: list[Measured] = []
    began = time.monotonic()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        ports = [stack.enter_context(replica()) for _ in range(2)]
        for target in TARGETS:
            if arguments.only and target.name not in arguments.only:
                continue
            try:
                install(target)
                process, port = stack.enter_context(running(target, ports, directory / target.name))
            except UnavailableError as reason:
                missing[target.name] = str(reason)
                continue
            all_.append(Measured(target, process, port))
        uvloop.run(compare(all_, ports[0], arguments, missing))
    results = {one.target.name: one.figures for one in all_}
    print(table(results, missing))
    record = {
        "machine": machine() | {"measured_for_seconds": round(time.monotonic() - began)},
        "settings": {"connections": CONNECTIONS, "queries": arguments.queries, "rounds": arguments.rounds},
        "targets": {name: asdict(one) for name, one in results.items()},
        "missing": missing,
    }
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=2) + "\n")
    print(f"recorded in {arguments.out}")


if __name__ == "__main__":
    main()
