"""Soak: half an hour of mixed, rude and failing traffic against a real gateway process, and whether it stays as it was.

    python benchmarks/soak/run.py [--minutes 30] [--out FILE]

First many different questions fill every table that has a bound. Everything is on: keys (one is replaced every few
seconds), cache, Redis where `redis-server` is installed, access log, replicas that come and go. The verdict compares
the memory of the second quarter with that of the last one, and looks at sockets, tasks and threads a while after the
last client has left. Exit code 1: something grew, or an answer came that must not come.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import shutil
import signal
import socket
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from clients import KINDS, Access, Visit, fill

from autoglm_api.cache import Cache, RedisCache, SecretKeyRef
from autoglm_api.config import GatewayConfig, GatewayPool
from autoglm_api.gateway import AccessLog
from autoglm_api.keys import Auth, SecretRef, hash_of, new_key
from autoglm_api.routing import WRITTEN_CLASSES

HERE: Final = Path(__file__).parent
HOST: Final = "127.0.0.1"
REPLICAS: Final = 4
SAMPLE_SECONDS: Final = 5.0
FILL_QUESTIONS: Final = 20_000
"""More than any table of the gateway holds: of questions seen (16,384), of kinds of questions (4,096)."""
SETTLE_SECONDS: Final = 100.0
"""Longer than an idle connection may stay open."""
MAX_RSS_GROWTH: Final = 4e6
MAX_PYTHON_GROWTH: Final = 1e6
_BUGS: Final = re.compile(r"Traceback|never retrieved|handler failed|ResourceWarning")


@dataclass
class Counts:
    """What came of the visits, by kind."""

    results: dict[str, Counter[str]] = field(default_factory=lambda: {kind: Counter() for kind in KINDS})

    def unexpected(self) -> list[str]:
        """Return what must not have come."""
        return [
            f"{kind}: {result} x {count}"
            for kind, results in self.results.items()
            for result, count in results.items()
            if result not in KINDS[kind][2]
        ]


@dataclass
class World:
    """The files that the gateway follows, and its processes."""

    folder: Path
    ports: list[int]
    redis_port: int | None
    keys: list[str] = field(default_factory=lambda: [new_key() for _ in range(3)])

    def write(self, name: str, text: str) -> Path:
        """Replace a file at once."""
        path, draft = self.folder / name, self.folder.parent / f"{self.folder.name}-draft"
        draft.write_text(text)
        path.parent.mkdir(exist_ok=True)
        return draft.replace(path)

    def write_keys(self) -> None:
        """Give every caller its key; the last one's is new each time."""
        self.keys[-1] = new_key()
        for number, key in enumerate(self.keys):
            entry = {"hashes": [hash_of(key)], "tenant": f"tenant-{number}", "highestTier": "Urgent"}
            self.write(f"keys/caller-{number}", json.dumps(entry))

    def write_endpoints(self) -> None:
        """Say which replicas are ready: any two or more of them."""
        ready = random.sample(self.ports, random.randint(2, REPLICAS))
        listed = [
            {"address": f"{HOST}:{port}", "pool": one.lower(), "revision": "r1"}
            for one in WRITTEN_CLASSES
            for port in ready
        ]
        self.write("endpoints.json", json.dumps({"gateways": 1, "replicas": listed}))

    def prepare(self) -> list[str]:
        """Write everything and return the gateway's command."""
        pools = [
            GatewayPool(name=one.lower(), serves=one, model_name=f"m-{one}", concurrency_per_replica=16)
            for one in WRITTEN_CLASSES
        ]
        redis = None if self.redis_port is None else RedisCache(url_secret_ref=SecretKeyRef(name="redis"))
        settings = GatewayConfig(
            deployment="soak",
            namespace="n",
            pools=pools,
            auth=Auth(api_keys_secret_ref=SecretRef(name="keys")),
            cache=Cache(max_bytes=1_048_576, time_to_live_seconds=60, redis=redis),
            access_log=AccessLog.JSON,
            max_body_bytes=65_536,
        )
        config = self.write("gateway.json", settings.model_dump_json(by_alias=True))
        self.write_keys()
        self.write_endpoints()
        url = "" if self.redis_port is None else str(self.write("url", f"redis://{HOST}:{self.redis_port}"))
        figures, ports = self.folder / "figures", self.folder / "ports"
        arguments = [figures, config, self.folder / "endpoints.json", self.folder / "keys", url, ports]
        return [sys.executable, str(HERE / "gateway.py"), *map(str, arguments)]

    async def change(self) -> None:
        """Change the world until cancelled."""
        while True:
            await asyncio.sleep(2)
            self.write_endpoints()
            if random.random() < 0.3:
                self.write_keys()


@dataclass
class Sample:
    """The gateway at one moment."""

    seconds: float
    rss: float
    sockets: int
    python: float
    tasks: int
    threads: int


async def sample(gateway: psutil.Process, figures: Path, begun: float, samples: list[Sample]) -> None:
    """Note how the gateway is, until cancelled."""
    while True:
        await asyncio.sleep(SAMPLE_SECONDS)
        samples.append(seen(gateway, figures, begun))


def seen(gateway: psutil.Process, figures: Path, begun: float) -> Sample:
    """Return how the gateway is now."""
    inside = json.loads(figures.read_text().splitlines()[-1])
    told = (float(inside["python_bytes"]), int(inside["tasks"]), int(inside["threads"]))
    return Sample(time.monotonic() - begun, gateway.memory_info().rss, gateway.num_fds(), *told)


async def visit(kind: str, does: Visit, access: Access, counts: Counts) -> None:
    """Visit again and again until cancelled."""
    while True:
        try:
            result = await does(access)
        except ConnectionError:
            result = "cut"
        except asyncio.IncompleteReadError:
            result = "cut"
        counts.results[kind][result] += 1
        await asyncio.sleep(random.random() * 0.1)


def verdict(samples: list[Sample], start: Sample, end: Sample) -> dict[str, Any]:
    """Tell what has grown; memory is compared between the second quarter and the last one."""
    quarter = len(samples) // 4
    early, late = samples[quarter : 2 * quarter], samples[-quarter:]

    def growth(of: str) -> float:
        before, after = ([float(getattr(one, of)) for one in some] for some in (early, late))
        return statistics.median(after) - statistics.median(before)

    hours = (late[0].seconds - early[0].seconds) / 3600
    checks = {
        "rss": growth("rss") <= MAX_RSS_GROWTH,
        "python": growth("python") <= MAX_PYTHON_GROWTH,
        "sockets": end.sockets <= start.sockets + 2 * REPLICAS * len(WRITTEN_CLASSES) + 4,
        "tasks": end.tasks <= start.tasks + 2,
        "threads": end.threads <= start.threads + 2,
    }
    return {
        "rss_mb": [round(one.rss / 1e6, 1) for one in (start, early[0], late[-1], end)],
        "rss_growth_mb_per_hour": round(growth("rss") / 1e6 / hours, 2),
        "python_mb": [round(one.python / 1e6, 2) for one in (start, early[0], late[-1], end)],
        "python_growth_mb_per_hour": round(growth("python") / 1e6 / hours, 3),
        "sockets": [start.sockets, max(one.sockets for one in samples), end.sockets],
        "tasks": [start.tasks, max(one.tasks for one in samples), end.tasks],
        "threads": [start.threads, end.threads],
        "flat": checks,
    }


async def load(world: World, port: int, seconds: float) -> Counts:
    """Send clients of every kind for so long."""
    access, counts = Access(port, world.keys), Counts()
    tasks = [
        asyncio.create_task(visit(kind, does, access, counts))
        for kind, (does, many, _) in KINDS.items()
        for _ in range(many)
    ]
    tasks.append(asyncio.create_task(world.change()))
    await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_EXCEPTION)
    for task in tasks:
        if task.done():
            task.result()
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return counts


async def soak(world: World, minutes: float) -> dict[str, Any]:
    """Run everything; returns the report."""
    replicas = await asyncio.create_subprocess_exec(sys.executable, str(HERE / "replicas.py"), *map(str, world.ports))
    command = world.prepare()
    with (world.folder / "log").open("wb") as log, (world.folder / "access.log").open("wb") as access_log:
        process = await asyncio.create_subprocess_exec(*command, stdout=access_log, stderr=log)
    try:
        ports_file = world.folder / "ports"
        while not ports_file.exists():  # noqa: ASYNC110 - another process writes it
            await asyncio.sleep(0.1)
        gateway, figures = psutil.Process(process.pid), world.folder / "figures"
        await asyncio.sleep(SAMPLE_SECONDS)
        port = json.loads(ports_file.read_text())[0]
        empty = seen(gateway, figures, time.monotonic())
        await fill(Access(port, world.keys), FILL_QUESTIONS)
        await asyncio.sleep(SAMPLE_SECONDS)
        begun, samples = time.monotonic(), list[Sample]()
        start = seen(gateway, figures, begun)
        sampling = asyncio.create_task(sample(gateway, figures, begun, samples))
        counts = await load(world, port, minutes * 60)
        sampling.cancel()
        cpu = sum(gateway.cpu_times()[:2])
        await asyncio.sleep(SETTLE_SECONDS)
        report = {"rss_mb_before_filling": round(empty.rss / 1e6, 1)}
        report |= verdict(samples, start, seen(gateway, figures, begun))
        process.send_signal(signal.SIGTERM)
        report["exit_code"] = await asyncio.wait_for(process.wait(), 60)
    finally:
        for one in (process, replicas):
            if one.returncode is None:
                one.kill()
                await one.wait()
    return report | told(world, counts, minutes, cpu)


def told(world: World, counts: Counts, minutes: float, cpu: float) -> dict[str, Any]:
    """Return what clients and logs say."""
    lines = (world.folder / "access.log").read_bytes().splitlines()
    outcomes = Counter(json.loads(line)["outcome"] for line in lines)
    return {
        "minutes": minutes,
        "machine": f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "redis": world.redis_port is not None,
        "gateway_cpu_seconds": round(cpu),
        "visits": {kind: dict(results) for kind, results in counts.results.items()},
        "unexpected": counts.unexpected(),
        "access_log": dict(outcomes),
        "bugs": [line for line in (world.folder / "log").read_text().splitlines() if _BUGS.search(line)][:20],
    }


def free_port() -> int:
    """Return a port that nobody has."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


async def main() -> None:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    program, port = shutil.which("redis-server"), free_port()
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "soak", [free_port() for _ in range(REPLICAS)], port if program else None)
        world.folder.mkdir()
        redis = None
        if program is not None:
            settings = ("--port", str(port), "--bind", HOST, "--save", "", "--maxmemory", "16mb")
            policy = ("--maxmemory-policy", "allkeys-lru")
            redis = await asyncio.create_subprocess_exec(program, *settings, *policy, stdout=asyncio.subprocess.DEVNULL)
        try:
            report = await soak(world, arguments.minutes)
        finally:
            if redis is not None:
                redis.terminate()
                await redis.wait()
    text = json.dumps(report, indent=1)
    print(text)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n")
    if report["unexpected"] or report["bugs"] or report["exit_code"] or not all(report["flat"].values()):
        sys.exit("not flat, or not right")


if __name__ == "__main__":
    asyncio.run(main())
