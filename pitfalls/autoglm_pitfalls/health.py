"""Pitfalls of health: readiness that flaps, a dead engine that is called ready."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from autoglm_pitfalls.models import broken, echo, slow_to_load
from autoglm_pitfalls.nodes import ask, node, triton_port
from autoglm_pitfalls.raw import raw_triton, seconds_of, write
from autoglm_pitfalls.scenario import Finding, Scenario
from support.node_process import NodeProcess

NOTICE_SECONDS: Final = 10.0
_LOAD_SECONDS: Final = 1.0


@contextmanager
def polled(probe: Callable[[], bool]) -> Iterator[list[bool]]:
    """Collect a probe's results in the background while the block runs."""
    results: list[bool] = []
    over = threading.Event()

    def poll() -> None:
        while not over.is_set():
            results.append(probe())
            time.sleep(0.05)

    thread = threading.Thread(target=poll)
    thread.start()
    try:
        yield results
    finally:
        over.set()
        thread.join()


def _share(results: list[bool]) -> str:
    return f"unready in {results.count(False)} of {len(results)} probes"


def flap_raw(directory: Path) -> Finding:
    """Another model is loaded beside the one that serves, then one that does not load."""
    with raw_triton(directory, [echo("serves")]) as server:

        def ready() -> bool:
            return server.status("/v2/health/ready") == httpx.codes.OK

        with polled(ready) as results:
            server.load(slow_to_load("next", _LOAD_SECONDS))
        server.load(broken("bad"))
        time.sleep(0.5)
        after = "ready" if ready() else "unready for good"
    return Finding(f"{_share(results)} during a load; {after} after a load that failed", bites=False in results)


def _load_beside(worker: NodeProcess, directory: Path) -> None:
    """Load one model that works and one that does not into the node's own Triton."""
    url = f"http://127.0.0.1:{triton_port(worker)}/v2/repository/models"
    repository = directory / "run/work/repository"
    for model in (slow_to_load("next", _LOAD_SECONDS), broken("bad")):
        write(repository, model)
        httpx.post(f"{url}/{model.name}/load", timeout=60)


def flap_ours(directory: Path) -> Finding:
    """The same loads in the Triton of a node."""
    with node(directory) as worker:
        with polled(worker.is_ready) as results:
            _load_beside(worker, directory)
            time.sleep(0.5)
        answer = ask(worker, 2).status_code
    fine = all(results) and answer == httpx.codes.OK
    return Finding(f"{_share(results)}, failed load included; queries get {answer}", bites=not fine)


def dead_raw(directory: Path) -> Finding:
    """The process of the model is killed."""
    with raw_triton(directory, [echo("m")]) as server:
        (stub,) = server.stubs()
        stub.kill()
        time.sleep(1)
        ready = server.status("/v2/models/m/ready")
        answer = server.infer("m").status_code
        load = server.control("m", "load")
        after = server.infer("m").status_code
    seen = f"model ready: {ready}; query: {answer}; load again: {load}; query: {after}"
    return Finding(seen, bites=ready == httpx.codes.OK and answer != httpx.codes.OK)


def _killed(worker: NodeProcess) -> Finding:
    started = time.monotonic()
    worker.stub().kill()
    while worker.is_ready() and seconds_of(started) < 2 * NOTICE_SECONDS:
        time.sleep(0.05)
    noticed = seconds_of(started)
    while not worker.is_ready() and seconds_of(started) < 60:
        time.sleep(0.05)
    healed = seconds_of(started)
    answer = ask(worker, 2).status_code
    seen = f"unready after {noticed:.1f} s, healed after {healed:.1f} s; query: {answer}"
    return Finding(seen, bites=noticed > NOTICE_SECONDS or answer != httpx.codes.OK)


def dead_ours(directory: Path) -> Finding:
    """The process of the engine is killed."""
    with node(directory) as worker:
        return _killed(worker)


SCENARIOS: Final = (
    Scenario("readiness-flaps", "Readiness flaps on every load, and stays off after a failed one", flap_raw, flap_ours),
    Scenario("dead-engine", "A dead engine is called ready", dead_raw, dead_ours),
)
