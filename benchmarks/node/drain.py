"""Queries lost when a worker goes away: our node runtime, and a plain Triton as the control.

    PYTHONPATH=pitfalls:tests python benchmarks/node/drain.py [--queries N] [--out FILE]

Keep-alive callers, readers of streams and callers by gRPC ask without pause; while they do, the worker gets SIGTERM. A
query counts as lost when its connection broke, its stream was not complete or its answer was an error other than "ask
another replica". Workers are started and drained until so many queries were accepted by each side.
"""

import argparse
import json
import os
import platform
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from autoglm_pitfalls.drain_load import Load, Outcome, Target
from autoglm_pitfalls.grpc_load import GrpcTarget
from autoglm_pitfalls.models import echo, stream
from autoglm_pitfalls.nodes import node
from autoglm_pitfalls.raw import raw_triton

CALLERS, STREAMERS, BY_GRPC = 10, 4, 4
SECONDS_BEFORE = 12.0
EXIT_SECONDS = 5
PIECES = 20


def ours(directory: Path) -> Outcome:
    """Drain one node runtime under load."""
    with node(directory, concurrency=CALLERS + STREAMERS + BY_GRPC) as worker:
        load = Load(Target.node(worker.url), CALLERS, STREAMERS, (GrpcTarget.node(worker.grpc), BY_GRPC))
        time.sleep(SECONDS_BEFORE)
        worker.process.send_signal(signal.SIGTERM)
        worker.wait_exit()
        return _finished(load)


def plain(directory: Path) -> Outcome:
    """Stop one plain Triton under the same load."""
    models = [echo("m", 0.02), stream("s", PIECES, 0.005)]
    with raw_triton(directory, models, f"--exit-timeout-secs={EXIT_SECONDS}") as server:
        load = Load(Target.triton(server.url, PIECES), CALLERS, STREAMERS, (GrpcTarget.triton(server.grpc), BY_GRPC))
        time.sleep(SECONDS_BEFORE)
        server.process.send_signal(signal.SIGTERM)
        server.process.wait(60)
        return _finished(load)


def _finished(load: Load) -> Outcome:
    outcome = load.finish()
    for ending in sorted(set(load.endings)):
        print(f"  lost by gRPC: {ending}", flush=True)
    return outcome


def until(side: Callable[[Path], Outcome], queries: int) -> tuple[int, Outcome]:
    """Repeat a side until so many queries were accepted; returns how many drains that took, and the sum."""
    total, drains = Outcome(), 0
    while total.answered + total.lost < queries:
        with tempfile.TemporaryDirectory(prefix="drain-") as directory:
            total.add(side(Path(directory)))
        drains += 1
        print(f"{side.__name__}: drain {drains}: {total}", flush=True)
    return drains, total


def main() -> None:
    """Measure both sides and print one line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--queries", type=int, default=10_000, help="accepted queries of our side")
    parser.add_argument("--plain-queries", type=int, default=1_000, help="of the control")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks/node-drain.json"))
    given = parser.parse_args()
    record: dict[str, object] = {"machine": platform.platform(), "cores": os.cpu_count()}
    for side, queries in ((plain, given.plain_queries), (ours, given.queries)):
        drains, total = until(side, queries)
        record[side.__name__] = {"drains": drains, **asdict(total)}
        accepted = total.answered + total.lost
        print(f"{side.__name__}: {total.lost} of {accepted} accepted queries lost in {drains} drains")
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
