"""What one look-up in Redis costs the gateway: CPU time of this process and how long it takes.

    python benchmarks/cache/redis_lookup.py [--lookups N]

A real `redis-server` on loopback; a third of the keys is there, each answer has 2 KB. CPU time is utime + stime of this
process, so the time of Redis itself is not in it.
"""

import argparse
import asyncio
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import uvloop

from autoglm_gateway.cache.entry import Entry
from autoglm_gateway.cache.redis_store import RedisStore, target_of

HOST: Final = "127.0.0.1"
SECRET: Final = b"s" * 32
KEPT: Final = 300
KEYS: Final = [b"%032d" % number for number in range(3 * KEPT)]
ENTRY: Final = Entry(b"x" * 2048, (("content-type", "application/json"),), stream=False, tokens=9, stored_at=0.0)


@contextmanager
def redis_server() -> Iterator[int]:
    """Run a server without a disk on a free port."""
    program = shutil.which("redis-server")
    if program is None:
        sys.exit("redis-server is not installed")
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    arguments = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no"]
    process = subprocess.Popen([program, *arguments], stdout=subprocess.DEVNULL)
    try:
        yield port
    finally:
        process.terminate()
        process.wait()


async def filled(port: int) -> RedisStore:
    """Return a store with a third of the keys; the deadline is long, because it is not what is measured."""
    store = RedisStore(target_of(f"redis://{HOST}:{port}"), SECRET, "bench:", deadline=1.0)
    while not store.available:
        store.connect()
        await asyncio.sleep(0.05)
    for key in KEYS[:KEPT]:
        store.put(key, "r1", ENTRY, 600)
    await store.get(KEYS[0], "r1")  # replies come in order, so all is stored by now
    return store


async def measure(store: RedisStore, lookups: int, at_once: int) -> dict[str, float]:
    """Return the CPU time and the median time of a look-up in microseconds, with so many at once."""
    took: list[float] = []

    async def one_after_another(count: int, offset: int) -> None:
        for number in range(count):
            begun = time.perf_counter()
            found = await store.get(KEYS[(number + offset) % len(KEYS)], "r1")
            took.append(time.perf_counter() - begun)
            assert (found is not None) == ((number + offset) % len(KEYS) < KEPT), "wrong answer"  # noqa: S101

    cpu = time.process_time()
    await asyncio.gather(*(one_after_another(lookups // at_once, 7 * place) for place in range(at_once)))
    cpu = time.process_time() - cpu
    return {
        "at_once": at_once,
        "cpu_us": round(cpu / len(took) * 1e6, 1),
        "median_us": round(statistics.median(took) * 1e6, 1),
        "p99_us": round(statistics.quantiles(took, n=100)[98] * 1e6, 1),
    }


async def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lookups", type=int, default=20_000)
    arguments = parser.parse_args()
    with redis_server() as port:
        store = await filled(port)
        rows = [await measure(store, arguments.lookups, at_once) for at_once in (1, 8, 32)]
        await store.close()
    print(json.dumps({"cores": os.cpu_count(), "load": os.getloadavg()[0], "lookups": rows}, indent=1))


if __name__ == "__main__":
    uvloop.run(main())
