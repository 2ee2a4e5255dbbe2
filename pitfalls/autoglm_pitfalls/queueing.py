"""Pitfalls of queues: late deadlines, uncounted refusals, stalls with priorities, batches of one."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import httpx

from autoglm_api import names
from autoglm_pitfalls.models import echo
from autoglm_pitfalls.nodes import SLOW, ask, chat, node
from autoglm_pitfalls.raw import RawTriton, raw_triton, seconds_of
from autoglm_pitfalls.scenario import Finding, Scenario

DEADLINE_SECONDS: Final = 0.1
LATE_SECONDS: Final = 0.4
CALLERS: Final = 24
_TIMEOUT_POLICY: Final = (
    "dynamic_batching { default_queue_policy { timeout_action: REJECT default_timeout_microseconds: 100000 } }"
)
_FULL_POLICY: Final = "dynamic_batching { default_queue_policy { max_queue_size: 2 } }"
_PRIORITIES: Final = "dynamic_batching { priority_levels: 2 default_priority_level: 2 }"


def _timed(server: RawTriton, model: str) -> tuple[int, float]:
    started = time.monotonic()
    return server.infer(model, rows=1).status_code, seconds_of(started)


def late_raw(directory: Path) -> Finding:
    """A query waits behind one that takes 0.8 s; its policy says 0.1 s."""
    with raw_triton(directory, [echo("m", 0.8, _TIMEOUT_POLICY, 1)]) as server, ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: _timed(server, "m"), range(4)))
    refused = [seconds for status, seconds in answers if status != httpx.codes.OK]
    slowest = max(refused, default=float("inf"))
    seen = f"policy 0.10 s: refused after {slowest:.2f} s" if refused else "policy 0.10 s: not refused at all"
    return Finding(seen, bites=slowest > LATE_SECONDS)


def late_ours(directory: Path) -> Finding:
    """A long query with a deadline of 0.1 s."""
    with node(directory, layers=SLOW) as worker, httpx.Client(base_url=worker.url, timeout=60) as http:
        http.get(names.PATH_MODELS)  # what the client itself takes to begin is not the worker's
        started = time.monotonic()
        answer = http.post(names.PATH_CHAT, json=chat(490), headers={names.HEADER_DEADLINE: "100"})
        took, late = seconds_of(started), worker.metric(f"{names.METRIC_NODE_DEADLINE_LATE_SECONDS}_sum")
    kept = answer.status_code == httpx.codes.GATEWAY_TIMEOUT and took < LATE_SECONDS
    seen = f"deadline 0.10 s: {answer.status_code} after {took:.2f} s, interrupted {1e3 * late:.0f} ms late"
    return Finding(seen, bites=not kept)


def uncounted_raw(directory: Path) -> Finding:
    """Many callers, a queue of two."""
    with raw_triton(directory, [echo("m", 0.3, _FULL_POLICY, 1)]) as server, ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda _: server.infer("m", rows=1).status_code, range(CALLERS)))
        counted = server.metric("nv_inference_request_failure", 'reason="REJECTED"')
    refused = sum(status != httpx.codes.OK for status in answers)
    return Finding(f"{refused} refused, {counted:.0f} counted", bites=counted < refused)


def uncounted_ours(directory: Path) -> Finding:
    """Many callers, four places."""
    with node(directory, layers=SLOW) as worker, ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda _: ask(worker, 60).status_code, range(CALLERS)))
        counted = worker.metric(names.METRIC_NODE_REJECTED)
    refused = sum(status != httpx.codes.OK for status in answers)
    return Finding(f"{refused} refused, {counted:.0f} counted", bites=counted != refused)


def _slowest(call: Any, calls: int, callers: int) -> float:
    """Return the 99th percentile, in milliseconds, of calls made by so many callers at once."""

    def one(_: int) -> float:
        started = time.monotonic()
        call()
        return seconds_of(started) * 1000

    with ThreadPoolExecutor(callers) as pool:
        return quantiles(pool.map(one, range(calls)), n=100)[98]


def stall_raw(directory: Path) -> Finding:
    """The same model with and without priority levels, one instance."""
    models = [echo("plain", 0.005, "dynamic_batching { }", 8), echo("ranked", 0.005, _PRIORITIES, 8)]
    with raw_triton(directory, models) as server:
        plain, ranked = (_slowest(lambda m=m: server.infer(m, rows=1), 600, 8) for m in ("plain", "ranked"))
    return Finding(f"p99 {plain:.0f} ms; with priority_levels {ranked:.0f} ms", bites=ranked > max(400, 2 * plain))


def stall_ours(directory: Path) -> Finding:
    """No priority levels below the gateway: the gateway's queue orders, the engine takes all that enter."""
    with node(directory) as worker, httpx.Client() as http:
        url = f"{worker.url}{names.PATH_CHAT}"
        config = (directory / "run/work/repository/glm-test/config.pbtxt").read_text()
        slowest = _slowest(lambda: http.post(url, json=chat(1)), 300, 4)
    return Finding(f"p99 {slowest:.0f} ms, no priority_levels", bites="priority_levels" in config)


def lonely_raw(directory: Path) -> Finding:
    """Queries of four lengths at once at a model that could batch eight."""
    model = echo("m", 0.05, "dynamic_batching { max_queue_delay_microseconds: 50000 }", 8, width=-1)
    with raw_triton(directory, [model]) as server, ThreadPoolExecutor(CALLERS) as pool:
        list(pool.map(lambda n: server.infer("m", rows=1, width=1 + n), range(CALLERS)))
        time.sleep(0.3)
        rows, runs = (server.metric(f"nv_inference_{name}") for name in ("count", "exec_count"))
    return Finding(f"{rows:.0f} queries of different lengths in {runs:.0f} runs", bites=runs >= rows > 0)


def lonely_ours(directory: Path) -> Finding:
    """Prompts of four lengths at once."""
    most = 0.0
    with node(directory, layers=SLOW) as worker, ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(ask, worker, 300, None, "price? " * (1 + 3 * n)) for n in range(4)]
        while not all(answer.done() for answer in answers):
            most = max(most, worker.metric(names.METRIC_ENGINE_RUNNING))
    return Finding(f"{most:.0f} queries of different lengths in one run", bites=most < len(answers))


SCENARIOS: Final = (
    Scenario("late-deadlines", "Queue time-outs are enforced late", late_raw, late_ours),
    Scenario("uncounted-refusals", "Refusals by a full queue are not counted", uncounted_raw, uncounted_ours),
    Scenario("priority-stall", "`priority_levels` with one instance stalls", stall_raw, stall_ours, timing=True),
    Scenario("batches-of-one", "Only equal shapes share a batch", lonely_raw, lonely_ours),
)
