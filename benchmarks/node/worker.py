"""A whole worker: start to ready, the first query against later ones, and CPU time of our front per query.

    PYTHONPATH=tests python benchmarks/node/worker.py [--model light|large] [--starts N] [--queries N]

Goals: the first query takes at most 1.2 times the median of later ones (the warm-up has taken the rest). The first one
comes after a pause, in which processors forget and fall asleep; so it is compared with later ones after such a pause,
too. On a machine that others use, too, times say little; the processor time of both is printed beside them.
"""

import argparse
import platform
import re
import statistics
import tempfile
import time
from datetime import datetime
from itertools import pairwise
from os import cpu_count
from pathlib import Path
from typing import Final

import httpx
import psutil

from autoglm_api import names
from autoglm_api.config import EngineSpec
from support.node_artifacts import engine_spec
from support.node_process import NodeProcess, node_process

ARTIFACTS: Final = Path(__file__).parents[2] / "models" / "artifacts"
GOAL_FIRST: Final = 1.2
_SAMPLES: Final = 30
_PAUSES: Final = 12
_PAUSE_SECONDS: Final = 0.5


def main() -> None:
    """Start a worker some times and ask each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("light", "large"), default="large")
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--queries", type=int, default=300)
    given = parser.parse_args()
    print(f"{platform.machine()}, {cpu_count()} cores, Python {platform.python_version()}, model {given.model}")
    spec = engine_spec(ARTIFACTS / f"glm-shop-{given.model}")
    starts = [one_start(spec, given.queries) for _ in range(given.starts)]
    told = ("time", "time, after a pause", "processor time")
    for what, ratios in zip(told, zip(*starts, strict=True), strict=True):
        ratio = statistics.median(ratios)
        print(f"first query against later ones, {what}: {ratio:.2f}x - {'met' if ratio <= GOAL_FIRST else 'MISSED'}")


def one_start(spec: EngineSpec, queries: int) -> tuple[float, float, float]:
    """Print the figures of one start.

    Returns the first query's time over that of later ones, and of later ones after a pause, and its processor time.
    """
    with (
        tempfile.TemporaryDirectory() as directory,
        node_process(spec, Path(directory), "--propagation-seconds", "0") as node,
        httpx.Client(timeout=60) as client,
    ):
        began = time.perf_counter()
        node.wait_ready()
        ready = time.perf_counter() - began
        client.get(f"{node.url}/v1/models")  # the client's own start is not the worker's
        first, first_cpu = _after_a_pause(client, node)
        before, spent = _cpu(node), [_ask(client, node) for _ in range(queries)]
        front, triton = (1e3 * (after - was) / queries for after, was in zip(_cpu(node), before, strict=True))
        steady = statistics.median(spent)
        steady_cpu = statistics.median(_asked(client, node)[1] for _ in range(_SAMPLES))
        rested = statistics.median(_after_a_pause(client, node)[0] for _ in range(_PAUSES))
        print(f"ready after {ready:.2f} s ({_stages(Path(directory) / 'node.log')})")
        later = f"{1e3 * steady:.1f} ms (median), {1e3 * rested:.1f} ms after a pause"
        print(f"  first query {1e3 * first:.1f} ms, later ones {later}")
        print(f"  its processor time {first_cpu:.1f} ms, that of later ones {steady_cpu:.1f} ms (median)")
        print(f"  CPU per query: our front {front:.2f} ms, Triton and engine {triton:.2f} ms")
    return first / steady, first / rested, first_cpu / steady_cpu


def _ask(client: httpx.Client, node: NodeProcess) -> float:
    messages = [{"role": "user", "content": "What does the kettle cost?"}]
    began = time.perf_counter()
    answer = client.post(f"{node.url}{names.PATH_CHAT}", json={"model": "glm-test", "messages": messages})
    answer.raise_for_status()
    return time.perf_counter() - began


def _asked(client: httpx.Client, node: NodeProcess) -> tuple[float, float]:
    """Return the seconds of a query, and the milliseconds of processor time that all our processes spent meanwhile."""
    before = _busy(node)
    return _ask(client, node), _busy(node) - before


def _after_a_pause(client: httpx.Client, node: NodeProcess) -> tuple[float, float]:
    time.sleep(_PAUSE_SECONDS)
    return _asked(client, node)


def _busy(node: NodeProcess) -> float:
    tasks = (task for one in (node.process, *node.family()) for task in Path(f"/proc/{one.pid}/task").iterdir())
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e6


def _cpu(node: NodeProcess) -> tuple[float, float]:
    """Return the CPU seconds of our process and of those that it started."""
    return _seconds(psutil.Process(node.process.pid)), sum(_seconds(one) for one in node.family())


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _stages(log: Path) -> str:
    """Return how long the phases took by the node's own log."""
    entered = re.findall(r"^(\S+ \S+) .*phase \S+ -> (\S+)$", log.read_text(), re.MULTILINE)
    times = [datetime.strptime(f"{stamp}+0000", "%Y-%m-%d %H:%M:%S,%f%z") for stamp, _ in entered]
    took = [(later - earlier).total_seconds() for earlier, later in pairwise(times)]
    return ", ".join(f"{phase} {seconds:.2f} s" for (_, phase), seconds in zip(entered, took, strict=False))


if __name__ == "__main__":
    main()
