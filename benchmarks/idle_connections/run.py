"""Memory of a gateway process by idle keep-alive connections, and queries beside them.

    python benchmarks/idle_connections/run.py [--connections 10000] [--tls]

A gateway takes 10,000 clients at most, or as many as it has descriptors for beside 256 of its own and one for each slot
of its replicas. Two replicas that nobody asks have 200 slots here, so 10,000 clients need a hard limit of 10,456 open
files. One client more must be turned away: so it is shown that this is the limit.
"""

import argparse
import asyncio
import re
import ssl
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import psutil

from autoglm_api.config import GatewayConfig, GatewayPool
from autoglm_api.routing import WRITTEN_CLASSES
from autoglm_transport.descriptors import raise_descriptor_limit

HOST = "127.0.0.1"
ASK = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
NOBODY = ",".join(f"{HOST}:{9 + place}={one.lower()}" for place, one in enumerate(WRITTEN_CLASSES))
AT_ONCE = 200
ASKED = 50


def client_context() -> ssl.SSLContext:
    """Return a context that trusts anybody: it is memory that is measured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class Client:
    """A connection that has been answered, so that it may idle for longer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def connected(cls, port: int, tls: ssl.SSLContext | None) -> "Client":
        """Connect and ask."""
        client = cls(*await asyncio.open_connection(HOST, port, limit=4096, ssl=tls))
        status = await client.ask()
        if status != 200:
            sys.exit(f"a connection was turned away: {status}")
        return client

    async def ask(self) -> int:
        """Ask for the list of models and return the answer's status; 0: the connection is closed."""
        self._writer.write(ASK)
        try:
            head = await self._reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return 0
        length = re.search(rb"content-length: (\d+)", head)
        await self._reader.readexactly(int(length[1]) if length else 0)
        return int(head.split()[1])

    async def close(self) -> None:
        """Close."""
        self._writer.close()
        await self._writer.wait_closed()


def certificate(directory: Path) -> Path:
    """Make a certificate and return its directory."""
    directory.mkdir()
    files = ("-keyout", str(directory / "tls.key"), "-out", str(directory / "tls.crt"))
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=localhost")
    subprocess.run(["openssl", "req", "-x509", *kind, *files], check=True, capture_output=True)
    return directory


async def measure(connections: int, *, tls: bool) -> None:
    """Start a gateway, connect, print."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "gateway.json"
        pools = [
            GatewayPool(name=one.lower(), serves=one, model_name=f"m-{one}", concurrency_per_replica=100)
            for one in WRITTEN_CLASSES
        ]
        settings = GatewayConfig(deployment="d", namespace="n", pools=pools, max_body_bytes=65536)
        config.write_text(settings.model_dump_json(by_alias=True))
        ports = ("--host", HOST, "--port", "0", "--admin-port", "0")
        shown = ("--certificate", str(certificate(Path(directory) / "tls"))) if tls else ()
        files = ("--config", str(config), "--endpoints", NOBODY, *shown)
        command = (sys.executable, "-m", "autoglm_gateway", *ports, *files)
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        try:
            await report(process, connections, client_context() if tls else None)
        finally:
            process.kill()
            await process.wait()


async def port_of(process: asyncio.subprocess.Process) -> int:
    """Return the port that the gateway's log tells."""
    line = b"" if process.stderr is None else await process.stderr.readline()
    found = re.search(rb"serving on port (\d+)", line)
    if found is None:
        sys.exit(line.decode())
    return int(found[1])


async def report(process: asyncio.subprocess.Process, connections: int, tls: ssl.SSLContext | None) -> None:
    """Print memory before and after, and how long answers take beside the idle ones."""
    port, gateway = await port_of(process), psutil.Process(process.pid)
    await asyncio.sleep(0.5)
    before = gateway.memory_info().rss
    held: list[Client] = []
    while len(held) < connections:
        wave = min(AT_ONCE, connections - len(held))
        held += await asyncio.gather(*(Client.connected(port, tls) for _ in range(wave)))
    grown = gateway.memory_info().rss - before
    kind = "over TLS" if tls else "in clear text"
    print(f"{connections:,} idle connections {kind}, {gateway.num_fds():,} descriptors of the gateway in use: ", end="")
    print(f"{grown / 1e6:.0f} MB more than {before / 1e6:.0f} MB, {grown / connections / 1000:.1f} KB each")
    if connections == 10_000:
        one_more = await asyncio.open_connection(HOST, port, ssl=tls)
        print("one more:", (await one_more[0].readline()).decode().strip())
        one_more[1].close()
    await told(gateway, "a query on one of them", [one.ask for one in held[:: len(held) // ASKED]])

    async def anew() -> int:
        client = await Client.connected(port, tls)
        status = await client.ask()
        await client.close()
        return status

    for one in held[:ASKED]:
        await one.close()
    await told(gateway, "a new connection with two queries", [anew] * ASKED)
    alive = [status == 200 for status in await asyncio.gather(*(one.ask() for one in held[ASKED:]))]
    print(f"after that all {len(alive):,} others were asked at once: {sum(alive):,} answered")
    if not all(alive):
        sys.exit("some connections were lost")


async def told(gateway: psutil.Process, what: str, asking: Sequence[Callable[[], Awaitable[int]]]) -> None:
    """Print how long answers take, one after the other, and what they cost the gateway."""
    took, cpu = [], sum(gateway.cpu_times()[:2])
    for ask in asking:
        begun = time.perf_counter()
        if await ask() != 200:
            sys.exit(f"{what}: no answer")
        took.append((time.perf_counter() - begun) * 1000)
    cpu = (sum(gateway.cpu_times()[:2]) - cpu) / len(took) * 1000
    print(f"{what}: median {statistics.median(took):.1f} ms, longest {max(took):.1f} ms, {cpu:.2f} ms of CPU")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=10_000)
    parser.add_argument("--tls", action="store_true")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    asyncio.run(measure(arguments.connections, tls=arguments.tls))


if __name__ == "__main__":
    main()
