"""The scaling engine on a real cluster: peaks, a dead Prometheus, a restarted operator, 1,000 replicas.

    python benchmarks/cluster_scaling/run.py [--scenes peak,outage,thousand] [--outage-seconds 300] [--start-seconds 90]
    [--log operator.log]

Real: API server, operator, gateway, Prometheus, kube-scheduler. Simulated (and declared so in every answer): the GPU
nodes (KWOK) and the replicas on them. Every scene prints what was claimed, what was seen and the time from the load's
step to the first written size; the whole course of sizes goes to build/cluster-scaling/result.json.
It takes about half an hour and uses the machine's one local cluster with a node.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any, Final

from course import Course
from deployment import NAME, NAMESPACE, POOL, WAIT_SECONDS, manifest
from processors import Processors

from autoglm_api import names
from autoglm_demo import access, ground, machine
from autoglm_demo.kube import Kube, connected, wait_ready
from autoglm_demo.load import Traffic, endless
from autoglm_demo.records import failures
from autoglm_demo.wire import Wire
from autoglm_localcluster import fakenodes, prometheus, provider
from autoglm_localcluster.cluster import Cluster
from autoglm_shop.task import Kind

NODES: Final = 32
THOUSAND: Final = 1000
TOKENS: Final = 500  # four seconds of a simulated light replica
# Sixteen seconds: 6,000 queries at once are what is asked for, not 1,500 new ones a second, which two processors that
# also run the cluster, the replicas and the clients could not carry.
LONG_TOKENS: Final = 2000
LOOK_SECONDS: Final = 0.5
ROOM_SECONDS: Final = 60.0


@dataclass(slots=True)
class Scene:
    """One scene at work: the cluster, its traffic, and the course so far."""

    cluster: Cluster
    kube: Kube
    traffic: Traffic
    course: Course
    began: float
    processors: Processors = field(default_factory=Processors)

    @property
    def now(self) -> float:
        """Seconds since the scene began."""
        return monotonic() - self.began

    def mark(self, what: str) -> float:
        """Note a moment of the scene."""
        self.course.marks[what] = self.now
        print(f"  {self.now:6.0f} s  {what}", flush=True)
        return self.now

    async def watch(self) -> None:
        """Sample the pool until cancelled."""
        while True:
            body = await self.kube._objects.get_namespaced_custom_object(  # noqa: SLF001 - our own demo's reader
                names.GROUP, names.VERSION, NAMESPACE, names.PLURAL, NAME
            )
            self.course.points.append((round(self.now, 2), *_pool(body)))
            self.processors.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def until(self, size: int, within: float, *, ready: bool = False, or_more: bool = False) -> bool:
        """Wait until exactly this size, or this and more, is written (or ready)."""
        deadline = monotonic() + within
        column = 2 if ready else 1
        while monotonic() < deadline:
            seen = self.course.points[-1][column] if self.course.points else 0
            if seen == size or (or_more and seen > size):
                return True
            await asyncio.sleep(LOOK_SECONDS)
        return False

    @asynccontextmanager
    async def crowd(self, count: int) -> AsyncIterator[None]:
        """Keep so many queries open (a closed loop: the load in queries at once does not depend on the machine)."""
        async with self.traffic.shoppers(count, endless(11, Kind.SIMPLE)):
            yield


def _pool(body: dict[str, Any]) -> tuple[int, int, str]:
    pools = (body.get("status") or {}).get("pools") or []
    found = next((one for one in pools if one["name"] == POOL), {})
    decision = found.get("lastDecision") or {}
    return found.get("desiredReplicas", 0), found.get("readyReplicas", 0), decision.get("reason", "")


@asynccontextmanager
async def scene(cluster: Cluster, kube: Kube, name: str, tokens: int = TOKENS) -> AsyncIterator[Scene]:
    """Play one scene with traffic and a watcher; ends with the queries that failed."""
    print(f"== {name}", flush=True)
    async with access.gateway(cluster, kube, NAMESPACE, NAME) as address:
        traffic = Traffic(Wire(*address), NAME, max_tokens=tokens, timeout_seconds=WAIT_SECONDS + 100, most_open=20000)
        traffic.start()
        played = Scene(cluster, kube, traffic, Course(name), monotonic())
        watcher = asyncio.create_task(played.watch())
        try:
            yield played
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
            traffic.wire.close()
    course = played.course
    course.count(traffic.records, failures(traffic.records))
    course.processors = played.processors.shares()
    print(f"      processors used, on average: {course.processors}", flush=True)
    course.restarts = await asyncio.to_thread(restarts, cluster)
    course.claim("no gateway was restarted", course.restarts == 0, f"{course.restarts} restarts")


def restarts(cluster: Cluster) -> int:
    """How often containers of the gateway's pods were restarted."""
    selector = f"{names.LABEL_COMPONENT}={names.COMPONENT_GATEWAY}"
    listed = json.loads(cluster.kubectl("--namespace", NAMESPACE, "get", "pods", "-l", selector, "-o", "json"))
    counts = (one["restartCount"] for pod in listed["items"] for one in pod["status"].get("containerStatuses") or ())
    return sum(counts)


async def peak(cluster: Cluster, kube: Kube) -> Course:
    """Up, an operator that is killed at the peak, and down."""
    async with scene(cluster, kube, "a peak, and the operator restarted at its height") as played:
        course = played.course
        async with played.crowd(4):
            await asyncio.sleep(ROOM_SECONDS)
            async with played.crowd(120):
                step = played.mark("load steps from 4 to 124 queries at once")
                grown = await played.until(18, 240, ready=True, or_more=True)  # 6.8 queries for each
                await asyncio.sleep(LOOK_SECONDS * 20)
                top = course.points[-1][1]
                course.claim("the pool has grown to carry it", grown, f"{top} written, {course.points[-1][2]} ready")
                reaction = course.first_change(step)
                seen = "never" if reaction is None else f"{reaction:.1f} s"
                course.claim("reaction from the step to the first written size", reaction is not None, seen)
                killed = played.mark("the operator's pod is killed")
                await asyncio.to_thread(
                    cluster.kubectl,
                    "-n",
                    ground.SYSTEM_NAMESPACE,
                    "delete",
                    "pod",
                    "--all",
                    "--grace-period=0",
                    "--force",
                )
                await asyncio.sleep(ROOM_SECONDS)
                least = min(course.written(killed))
                course.claim("a restart shrinks nothing", least >= top, f"{top} before, {least} at least after")
            fall = played.mark("load falls back to 4")
            await played.until(1, 420)  # the margin for a burst like the last one fades slowly
            left = course.points[-1][1]
            course.claim("the pool has shrunk to half", left <= top / 2, f"{left} after {played.now - fall:.0f} s")
    return course


async def outage(cluster: Cluster, kube: Kube, seconds: float) -> Course:
    """Prometheus is gone while the load rises, comes back, and is gone again while it falls."""
    async with scene(cluster, kube, f"Prometheus gone for {seconds:.0f} s at the rise and at the fall") as played:
        course = played.course
        async with played.crowd(4):
            await asyncio.sleep(ROOM_SECONDS / 2)
            await _prometheus(cluster, 0)
            gone = played.mark("Prometheus is stopped")
            async with played.crowd(120):
                step = played.mark("load steps from 4 to 124 queries at once")
                await asyncio.sleep(seconds - (played.now - gone))
                top = course.points[-1][1]
                reaction = course.first_change(step)
                seen = "never" if reaction is None else f"first size after {reaction:.1f} s, {top} at the end"
                course.claim("it grows without Prometheus (direct scrape)", top > 4, seen)
                await _prometheus(cluster, 1)
                played.mark("Prometheus is back")
                await asyncio.sleep(ROOM_SECONDS)
                await _prometheus(cluster, 0)
                gone = played.mark("Prometheus is stopped again")
                await asyncio.sleep(ROOM_SECONDS)
                during = course.written(gone)
                held = min(during) >= during[0]
                course.claim(
                    "no scale-down while the load is high and data is missing", held, f"{during[0]} -> {during[-1]}"
                )
            played.mark("load falls back to 4")
            await asyncio.sleep(max(0.0, seconds - (played.now - gone)))
            reasons = sorted({reason for at, _, _, reason in course.points if at >= gone})
            course.claim("what it did at the fall", True, f"{course.points[-1][1]} written; reasons {reasons}")
            await _prometheus(cluster, 1)
            played.mark("Prometheus is back")
            await played.until(1, 300)
            course.claim(
                "the pool has shrunk to half", course.points[-1][1] <= top / 2, f"{course.points[-1][1]} written"
            )
    return course


async def thousand(cluster: Cluster, kube: Kube) -> Course:
    """From 1 to 1,000 replicas on 1,000 nodes."""
    await asyncio.to_thread(fakenodes.add_nodes, cluster, THOUSAND)
    async with scene(cluster, kube, "1,000 replicas on 1,000 nodes", LONG_TOKENS) as played:
        course = played.course
        async with played.crowd(8):
            await asyncio.sleep(ROOM_SECONDS / 2)
            async with played.crowd(7000):  # 6.8 for each replica make 1,031
                step = played.mark("load steps from 8 to 7,008 queries at once")
                await played.until(THOUSAND, 300)
                await played.until(THOUSAND, 240, ready=True)
                written, ready = (course.reached(900, step, ready=flag) for flag in (False, True))
                course.claim(
                    "900 replicas written", written is not None, f"after {written} s, most {max(course.written())}"
                )
                course.claim("900 replicas ready", ready is not None, f"after {ready} s")
                reaction = course.first_change(step)
                course.claim("reaction from the step to the first written size", reaction is not None, f"{reaction} s")
            fall = played.mark("load falls back to 8")
            await played.until(1, 420)
            course.claim(
                "it shrinks", course.points[-1][1] < 100, f"{course.points[-1][1]} after {played.now - fall:.0f} s"
            )
    return course


async def _prometheus(cluster: Cluster, replicas: int) -> None:
    await asyncio.to_thread(
        cluster.kubectl, "-n", prometheus.NAMESPACE, "scale", "deployment/prometheus", f"--replicas={replicas}"
    )


async def play(cluster: Cluster, arguments: argparse.Namespace) -> list[Course]:
    """Install, and play the chosen scenes in order."""
    settings = {**ground.VALUES, "operator.logLevel": "DEBUG"} if arguments.log else ground.VALUES
    ground.install(cluster, settings)
    scenes = arguments.scenes
    most = THOUSAND if scenes == ["thousand"] else NODES - 1
    courses = []
    async with connected(cluster.kubeconfig) as kube:
        cluster.apply(manifest(arguments.start_seconds, most))
        await wait_ready(kube, NAMESPACE, NAME, 360)
        if "peak" in scenes:
            courses.append(await peak(cluster, kube))
        if "outage" in scenes:
            courses.append(await outage(cluster, kube, arguments.outage_seconds))
        if "thousand" in scenes:
            cluster.apply(manifest(arguments.start_seconds, THOUSAND))
            courses.append(await thousand(cluster, kube))
    if arguments.log:
        arguments.log.write_text(
            cluster.kubectl("-n", ground.SYSTEM_NAMESPACE, "logs", "deployment/autoglm", "--tail=-1")
        )
    return courses


def main() -> int:
    """Play, print, record; 1 when a claim does not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scenes", type=lambda text: text.split(","), default=["peak", "outage", "thousand"])
    parser.add_argument("--outage-seconds", type=float, default=300.0)
    parser.add_argument("--start-seconds", type=int, default=90)
    parser.add_argument("--out", type=Path, default=Path("build/cluster-scaling/result.json"))
    parser.add_argument("--log", type=Path, help="log every decision of the operator there, for `autoglm replay`")
    parser.add_argument("--keep", action="store_true", help="leave the cluster running")
    arguments = parser.parse_args()
    try:
        nodes = THOUSAND if arguments.scenes == ["thousand"] else NODES
        cluster = provider.up("demo", node=True, fake_nodes=nodes)
        courses = asyncio.run(play(cluster, arguments))
        versions = machine.versions(cluster)
    finally:
        if not arguments.keep:
            provider.down("demo")
    record = {"machine": machine.machine(), "versions": versions, "scenes": [asdict(course) for course in courses]}
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(json.dumps(record, indent=1, default=str))
    held = all(holds for course in courses for _, holds, _ in course.claims)
    print(f"{'every claim held' if held else 'SOME CLAIM DID NOT HOLD'}; recorded in {arguments.out}")
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
