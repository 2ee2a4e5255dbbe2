"""What the gateway adds to a query's latency at half of its highest rate, by a measure that noise hardly moves.

    python benchmarks/gateway/latency.py [--rounds N] [--slice SECONDS] [--rate PER_SECOND] [--target NAME]

Queries come at random moments of a fixed mean rate, whether answers come or not (open loop), over connections that stay
open. Slices of a second through the gateway and straight to the replica follow each other, again and again, with the
same moments; a pair of neighbours sees the same neighbours on the machine. What is told is the median over all pairs of
the difference of their percentiles, with its 95 % interval (order statistics, no shape assumed); a few disturbed
pairs do not move it. The highest rate is measured first, in a closed loop of 16 connections.

Client, replica and target share the machine's processors, so at half load a good part of them is busy. How much of the
time the target was ready to run and had to wait for a processor is told, too (run-queue delay by the kernel's account):
where that is more than a few percent, the figures are the neighbours', not the gateway's.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from itertools import count
from math import ceil, floor, sqrt
from pathlib import Path
from typing import Final, cast

import uvloop
from load import HOST, ask_all, chat
from run import CONNECTIONS, replica
from targets import TARGETS, install, running

OPEN: Final = 64
WARM_QUERIES: Final = 3000
PROMPT_BYTES: Final = 300
GOAL_P99_MS: Final = 5.0
SHARES: Final = (0.5, 0.99)
_NUMBERS: Final = count(10_000_000)  # no question is asked twice, so that a cache finds nothing


class Door:
    """Connections to one server that stay open; a query takes an idle one, or waits for one."""

    def __init__(self) -> None:
        self._idle: list[_Line] = []
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._took: list[float] = []
        self._missing = 0
        self._all_here: asyncio.Future[None] | None = None

    @classmethod
    async def to(cls, port: int) -> "Door":
        """Connect."""
        door, loop = cls(), asyncio.get_running_loop()
        door._idle = [(await loop.create_connection(lambda: _Line(door), HOST, port))[1] for _ in range(OPEN)]
        return door

    async def ask(self, moments: list[float]) -> list[float]:
        """Send a query at each of these moments (seconds from now) and return how long each answer took."""
        requests = [chat(next(_NUMBERS), prompt_bytes=PROMPT_BYTES) for _ in moments]
        self._took, self._missing = [], len(moments)
        self._all_here = asyncio.get_running_loop().create_future()
        began = time.perf_counter()
        for moment, request in zip(moments, requests, strict=True):
            late = time.perf_counter() - began - moment
            if late < 0:
                await asyncio.sleep(-late)
            self._send(request)
        await asyncio.wait_for(self._all_here, 60)
        return self._took

    def _send(self, request: bytes) -> None:
        now = time.perf_counter()
        if self._idle:
            self._idle.pop().send(now, request)
        else:
            self._waiting.append((now, request))

    def answered(self, line: "_Line", seconds: float) -> None:
        """Take in an answer; its connection is for the next query."""
        self._took.append(seconds)
        self._missing -= 1
        if self._waiting:
            line.send(*self._waiting.popleft())
        else:
            self._idle.append(line)
        if not self._missing and self._all_here is not None:
            self._all_here.set_result(None)


class _Line(asyncio.Protocol):
    """One connection; answers must have a length."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._began = 0.0
        self._got = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """A measurement without all answers is none."""
        del exc
        if self._got or self._began:
            sys.exit("the target closed a connection")

    def send(self, began: float, request: bytes) -> None:
        """Send a query whose time began then."""
        self._began = began
        if self._transport is not None:
            self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Take in a piece of an answer."""
        self._got += data
        head, _, body = self._got.partition(b"\r\n\r\n")
        _, found, length = head.lower().partition(b"\r\ncontent-length:")
        if not found or len(body) < int(length.partition(b"\r\n")[0]):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            sys.exit(f"answered {head!r}")
        took = time.perf_counter() - self._began
        self._got, self._began = b"", 0.0
        self._door.answered(self, took)


@dataclass(frozen=True)
class Middle:
    """The median of some figures and its 95 % interval, in milliseconds."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        """Return it as people read it."""
        return f"{self.median:.2f} ms ({self.low:.2f} to {self.high:.2f})"


def middle(values: list[float]) -> Middle:
    """Return the median; the interval is between the order statistics that hold it in 95 of 100 samples."""
    ordered, around = sorted(values), 0.98 * sqrt(len(values))
    low = max(0, floor(len(values) / 2 - around))
    high = min(len(values) - 1, ceil(len(values) / 2 + around))
    return Middle(*(round(one * 1000, 3) for one in (statistics.median(ordered), ordered[low], ordered[high])))


def percentile(took: list[float], share: float) -> float:
    """Return a percentile in seconds."""
    return sorted(took)[min(len(took) - 1, int(share * len(took)))]


async def highest_rate(port: int) -> float:
    """Return the queries per second of a closed loop, the best of three short ones."""
    rates = []
    for _ in range(3):
        requests = [chat(next(_NUMBERS), prompt_bytes=PROMPT_BYTES) for _ in range(WARM_QUERIES)]
        rates.append(WARM_QUERIES / (await ask_all(port, requests, CONNECTIONS)).seconds)
    return max(rates)


def waited_seconds(pid: int) -> float:
    """Return how long the threads of a process were ready to run and waited for a processor."""
    return sum(int(path.read_text().split()[1]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9


async def measure(pid: int, port: int, direct_port: int, arguments: argparse.Namespace) -> dict[str, object]:
    """Measure in alternating slices; return the figures."""
    rate = arguments.rate or await highest_rate(port) / 2
    doors = [await Door.to(port), await Door.to(direct_port)]
    rounds: list[tuple[list[float], list[float]]] = []
    began, waited = time.perf_counter(), waited_seconds(pid)
    for number in range(arguments.rounds + 1):
        moments = moments_of(number, rate, arguments.slice)
        order = (0, 1) if number % 2 else (1, 0)  # neither is always the first
        took = {place: await doors[place].ask(moments) for place in order}
        rounds.append((took[0], took[1]))
    waited_percent = 100 * (waited_seconds(pid) - waited) / (time.perf_counter() - began)
    found: dict[str, object] = {
        "waited_for_processor_percent": round(waited_percent, 1),
        "rate": round(rate),
        "slice_seconds": arguments.slice,
        "rounds": arguments.rounds,
    }
    for share in SHARES:
        pairs = [
            (percentile(ours, share), percentile(plain, share)) for ours, plain in rounds[1:]
        ]  # the first warms up
        name = f"p{round(share * 100)}"
        found[f"through_{name}_ms"] = middle([ours for ours, _ in pairs])
        found[f"direct_{name}_ms"] = middle([plain for _, plain in pairs])
        found[f"added_{name}_ms"] = middle([ours - plain for ours, plain in pairs])
    return found


def moments_of(seed: int, rate: float, seconds: float) -> list[float]:
    """Return random moments of a mean rate (a Poisson process)."""
    chance, moments, now = random.Random(seed), list[float](), 0.0
    while (now := now + chance.expovariate(rate)) < seconds:
        moments.append(now)
    return moments


def main() -> None:
    """Start replicas and target, measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--slice", type=float, default=1.0)
    parser.add_argument("--rate", type=float, help="queries per second instead of half of the highest rate")
    parser.add_argument("--target", default="gateway", choices=[one.name for one in TARGETS])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    target = next(one for one in TARGETS if one.name == arguments.target)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory())) / target.name
        ports = [stack.enter_context(replica()) for _ in range(2)]
        install(target)
        process, port = stack.enter_context(running(target, ports, directory))
        found = uvloop.run(measure(process.pid, port, ports[0], arguments))
    load = f"{os.cpu_count()} cores, load average {os.getloadavg()[0]:.1f}"
    print(f"{target.name}, {found['rate']} queries/s, {arguments.rounds} pairs of {arguments.slice} s, {load}")
    for name, value in found.items():
        if isinstance(value, Middle):
            print(f"{name:16} {value}")
    print(f"it was ready and waited for a processor for {found['waited_for_processor_percent']} % of the time")
    if target.name == "gateway":
        met = cast("Middle", found["added_p99_ms"]).high < GOAL_P99_MS
        print(f"goal: added p99 below {GOAL_P99_MS:g} ms at half load: {'met' if met else 'not shown'}")
    if arguments.out is not None:
        shown = {name: asdict(value) if isinstance(value, Middle) else value for name, value in found.items()}
        when = {"at": datetime.now(UTC).isoformat(timespec="seconds"), "machine": load}
        arguments.out.write_text(json.dumps(when | shown, indent=2) + "\n")


if __name__ == "__main__":
    main()
