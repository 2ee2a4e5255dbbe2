"""Memory of a gateway process by idle keep-alive connections, and a query beside them: `--connections 9000`."""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from pathlib import Path

import psutil

from autoglm_api.config import GatewayConfig, GatewayPool
from autoglm_api.routing import WRITTEN_CLASSES
from autoglm_transport.descriptors import raise_descriptor_limit

HOST = "127.0.0.1"
ASK = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
AT_ONCE = 200


async def connected(port: int) -> asyncio.StreamWriter:
    """Return a connection that has been answered once, so that it may idle for longer."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=4096)
    writer.write(ASK)
    if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200"):
        sys.exit("a connection was turned away")
    return writer


async def measure(connections: int) -> None:
    """Start a gateway, connect, print."""
    with tempfile.TemporaryDirectory() as directory:
        config = Path(directory) / "gateway.json"
        pools = [
            GatewayPool(name=one.lower(), serves=one, model_name=f"m-{one}", concurrency_per_replica=8)
            for one in WRITTEN_CLASSES
        ]
        settings = GatewayConfig(deployment="d", namespace="n", pools=pools, max_body_bytes=65536)
        config.write_text(settings.model_dump_json(by_alias=True))
        ports = ("--host", HOST, "--port", "0", "--admin-port", "0")
        command = (sys.executable, "-m", "autoglm_gateway", *ports, "--config", str(config), "--endpoints", "")
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        try:
            await report(process, connections)
        finally:
            process.kill()
            await process.wait()


async def report(process: asyncio.subprocess.Process, connections: int) -> None:
    """Print memory before and after, and the time of one answer."""
    line = b"" if process.stderr is None else await process.stderr.readline()
    found = re.search(rb"serving on port (\d+)", line)
    if found is None:
        sys.exit(line.decode())
    port, gateway = int(found[1]), psutil.Process(process.pid)
    await asyncio.sleep(0.5)
    before = gateway.memory_info().rss
    held: list[asyncio.StreamWriter] = []
    while len(held) < connections:
        wave = min(AT_ONCE, connections - len(held))
        held += await asyncio.gather(*(connected(port) for _ in range(wave)))
    grown = gateway.memory_info().rss - before
    begun = time.perf_counter()
    held.append(await connected(port))
    milliseconds = (time.perf_counter() - begun) * 1000
    print(f"{connections:,} idle connections: {grown / 1e6:.0f} MB more than {before / 1e6:.0f} MB,", end=" ")
    print(f"{grown / connections / 1000:.1f} KB each; a query beside them: {milliseconds:.1f} ms")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=9000)
    arguments = parser.parse_args()
    raise_descriptor_limit()
    asyncio.run(measure(arguments.connections))


if __name__ == "__main__":
    main()
