"""How long one tick of the scaling loop takes, and what it costs in CPU time, for many pools.

A scripted Prometheus (a process of its own, on loopback) answers the batch of a tick with two gateways per deployment
and figures that move; the loop parses it, decides every pool and publishes.

    python benchmarks/scaling_tick/run.py [--deployments 500] [--pools 2] [--ticks 20] [--signals all]
"""

import argparse
import asyncio
import json
import math
import multiprocessing
import platform
import resource
import statistics
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from prometheus_client import CollectorRegistry

from autoglm_api import names
from autoglm_api.routing import WRITTEN_CLASSES
from autoglm_api.spec import Scaling, Signal, SignalType
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.shell.prometheus import Prometheus
from autoglm_operator.shell.prometheus.kinds import Part
from autoglm_operator.shell.prometheus.query import SERIES_LABEL, Series
from autoglm_operator.shell.scaling_loop import ScalingLoop

GATEWAYS = 2
CLASSES = WRITTEN_CLASSES
NOW, NOW_TEXT, LEVEL = "@NOW@", "@SAMPLED@", "@LEVEL@"
MORE = [
    Signal(type=SignalType.KV_CACHE_USE),
    Signal(type=SignalType.GPU_UTILIZATION),
    Signal(type=SignalType.FIRST_TOKEN_LATENCY, target_milliseconds=500),
    Signal(type=SignalType.PER_TOKEN_LATENCY, target_milliseconds=50),
    Signal(type=SignalType.QUEUED_QUERIES_PER_REPLICA, target="4"),
]


def main() -> None:
    """Run and print."""
    options = _options()
    port: multiprocessing.Queue[int] = multiprocessing.Queue()
    server = multiprocessing.Process(target=_serve, args=(options.deployments, options.pools, port), daemon=True)
    server.start()
    try:
        asyncio.run(_measure(options, f"http://127.0.0.1:{port.get(timeout=60)}"))
    finally:
        server.terminate()
        server.join()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--deployments", type=int, default=500)
    parser.add_argument("--pools", type=int, default=2, help="pools of each deployment")
    parser.add_argument("--ticks", type=int, default=20)
    parser.add_argument("--signals", choices=("default", "all"), default="default")
    return parser.parse_args()


async def _measure(options: argparse.Namespace, url: str) -> None:
    published: list[PoolDecision] = []
    targets = _targets(options)
    prometheus = Prometheus(url)
    loop = ScalingLoop(
        prometheus,
        lambda: targets,
        lambda _key, _pool, decision: published.append(decision),
        5,
        registry=CollectorRegistry(),
    )
    walls, cpus = [], []
    for _ in range(options.ticks):
        wall, cpu = time.perf_counter(), time.process_time()
        await loop.tick()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    await prometheus.aclose()
    pools = options.deployments * options.pools
    known = sum(decision.metrics_available for decision in published[-pools:])
    print(f"machine: {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    print(f"{pools} pools of {options.deployments} deployments, {options.signals} signals, {options.ticks} ticks")
    print(f"decisions of the last tick: {len(published) // options.ticks}, {known} on complete figures")
    for name, figures in (("wall", walls), ("CPU", cpus)):
        print(f"tick, {name}: median {_ms(statistics.median(figures))}, longest {_ms(max(figures))}")
    print(f"CPU per pool: {_ms(statistics.median(cpus) / pools)}")
    print(f"memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB at most")


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms"


def _targets(options: argparse.Namespace) -> Mapping[ObjectKey, Mapping[str, PoolTarget]]:
    plain = Scaling(min_replicas=1, max_replicas=50)
    scaling = plain if options.signals == "default" else plain.model_copy(update={"signals": [*plain.signals, *MORE]})
    return {
        ObjectKey("bench", f"d{number}"): {
            f"p{pool}": PoolTarget(scaling, 6, 6, rolling_out=False, serves=CLASSES[pool % 2], concurrency=8)
            for pool in range(options.pools)
        }
        for number in range(options.deployments)
    }


# --- the scripted Prometheus -----------------------------------------------------------------------------------
def _serve(deployments: int, pools: int, port: "multiprocessing.Queue[int]") -> None:
    load = json.dumps(_reply(_gateway_rows(deployments, pools)))
    kind = json.dumps(_reply(_pool_rows(deployments, pools)))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            template = load if names.METRIC_GATEWAY_OFFERED_TOKENS in form["query"][0] else kind
            level = f"{3 + 2 * math.sin(time.time() / 5):.3f}"
            body = template.replace(f'"{NOW}"', f"{time.time():.3f}").replace(NOW_TEXT, f"{time.time() - 1:.3f}")
            data = body.replace(LEVEL, level).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    port.put(server.server_address[1])
    server.serve_forever()


def _reply(rows: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": "vector", "result": list(rows)}}


def _row(value: str, **labels: str) -> dict[str, Any]:
    return {"metric": labels, "value": [NOW, value]}


def _gateway_rows(deployments: int, pools: int) -> Iterator[dict[str, Any]]:
    of_pool = {
        **dict.fromkeys((Series.QUEUED, Series.IN_FLIGHT, Series.QUEUED_TOKENS, Series.SERVED), LEVEL),
        **dict.fromkeys((Series.QUEUED_AT, Series.IN_FLIGHT_AT), NOW_TEXT),
    }
    for number in range(deployments):
        ours = {names.SERIES_LABEL_NAMESPACE: "bench", names.SERIES_LABEL_DEPLOYMENT: f"d{number}"}
        for gateway in range(GATEWAYS):
            at = ours | {"instance": f"10.0.0.{gateway}:9090"}
            yield _row("1", **at, **{SERIES_LABEL: Series.UP})
            for series in (Series.OFFERED, Series.OFFERED_NOW):
                for query_class in CLASSES:
                    yield _row(LEVEL, **at, **{SERIES_LABEL: series, "class": query_class})
            for pool in range(pools):
                for series, value in of_pool.items():
                    yield _row(value, **at, **{SERIES_LABEL: series, "pool": f"p{pool}"})


def _pool_rows(deployments: int, pools: int) -> Iterator[dict[str, Any]]:
    parts = {Part.VALUE: "50", Part.VALID: "6", Part.REPORTING: "6", Part.WORKERS: "6", Part.AGE: "1", Part.RATE: "3"}
    for number in range(deployments):
        for pool in range(pools):
            ours = {names.SERIES_LABEL_NAMESPACE: "bench", names.SERIES_LABEL_DEPLOYMENT: f"d{number}"}
            for part, value in parts.items():
                yield _row(value, **ours, **{SERIES_LABEL: part, "pool": f"p{pool}"})


if __name__ == "__main__":
    main()
