"""Pitfalls of the end: what a server that is told to stop, or killed, does to its clients and leaves behind."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import psutil

from autoglm_pitfalls.drain_load import Load, Outcome, Target
from autoglm_pitfalls.models import echo, stream
from autoglm_pitfalls.nodes import SLOW, ask, node
from autoglm_pitfalls.raw import raw_triton
from autoglm_pitfalls.scenario import Finding, Scenario
from support.node_process import wait_for

EXIT_SECONDS: Final = 3
BUSY_SECONDS: Final = 6.0
STREAM_PIECES: Final = 40


def _alive(processes: list[psutil.Process]) -> int:
    return sum(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes)


def _told(outcome: Outcome, left: int, regions: int) -> Finding:
    seen = (
        f"{outcome.answered} answered, {outcome.sent_elsewhere} sent elsewhere, {outcome.lost} cut off; "
        f"{left} processes and {regions} memory regions left"
    )
    return Finding(seen, bites=bool(outcome.lost or left or regions))


def drain_raw(directory: Path) -> Finding:
    """SIGTERM while keep-alive clients and streams are attached."""
    models = [echo("m", 0.05), stream("s", STREAM_PIECES, 0.05)]
    with raw_triton(directory, models, f"--exit-timeout-secs={EXIT_SECONDS}") as server:
        load = Load(Target.triton(server.url), callers=4, streamers=2)
        time.sleep(1)
        stubs = server.stubs()
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(30)
        outcome = load.finish()
        return _told(outcome, _alive(stubs), len(server.regions()))


def drain_ours(directory: Path) -> Finding:
    """SIGTERM with the same clients."""
    with node(directory, layers=SLOW, concurrency=8) as worker:
        load = Load(Target.node(worker.url, stream_tokens=200), callers=4, streamers=2)
        time.sleep(1)
        family, regions = worker.family(), _regions(worker.process.pid)
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_exit()
        outcome = load.finish()
    return _told(outcome, _alive(family), sum(region.exists() for region in regions))


def kill_raw(directory: Path) -> Finding:
    """SIGKILL while a query runs; an idle model's process sees it and ends."""
    with raw_triton(directory, [echo("m", BUSY_SECONDS)]) as server, ThreadPoolExecutor(1) as pool:
        stubs = server.stubs()
        query = pool.submit(server.infer, "m")
        time.sleep(0.5)
        server.process.kill()
        server.process.wait()
        time.sleep(1)
        left, regions = _alive(stubs), len(server.regions())
        query.exception()
    return Finding(f"{left} processes and {regions} memory regions left", bites=bool(left or regions))


def kill_ours(directory: Path) -> Finding:
    """SIGKILL of the Triton inside a node."""
    with node(directory, layers=SLOW) as worker, ThreadPoolExecutor(1) as pool:
        query = pool.submit(ask, worker, 490)
        time.sleep(0.3)
        family, regions = worker.family(), _regions(worker.process.pid)
        (server,) = [one for one in family if one.name() == "tritonserver"]
        server.kill()
        code = worker.wait_exit()
        wait_for(lambda: not _alive(family), 5, "end of the family")
        query.exception()
    left, still = _alive(family), sum(region.exists() for region in regions)
    return Finding(f"exit code {code}; {left} processes and {still} memory regions left", bites=bool(left or still))


def _regions(pid: int) -> list[Path]:
    return list(Path("/dev/shm").glob(f"autoglm_{pid}_*"))  # noqa: S108 - where Triton keeps them


SCENARIOS: Final = (
    Scenario("stop-with-clients", "SIGTERM with keep-alive clients cuts answers off", drain_raw, drain_ours),
    Scenario(
        "kill-leaves-orphans", "SIGKILL leaves processes and shared memory behind", kill_raw, kill_ours, timing=True
    ),
)
