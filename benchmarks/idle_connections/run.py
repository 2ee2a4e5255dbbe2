"""Memory of a gateway process by idle keep-alive connections, and queries beside them.

    python benchmarks/idle_connections/run.py [--connections 9800] [--tls]

A gateway takes at most `(descriptors - 256) / 2` clients, so 10,000 need a hard limit of 20,256 open files.
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
from pathlib import Path

import psutil

from autoglm_api.config import GatewayConfig, GatewayPool
from autoglm_api.routing import WRITTEN_CLASSES
from autoglm_transport.descriptors import raise_descriptor_limit

HOST = "127.0.0.1"
ASK = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
AT_ONCE = 200


def client_context() -> ssl.SSLContext:
    """Return a context that trusts anybody: it is memory that is measured."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def connected(port: int, tls: ssl.SSLContext | None) -> asyncio.StreamWriter:
    """Return a connection that has been answered once, so that it may idle for longer."""
    reader, writer = await asyncio.open_connection(HOST, port, limit=4096, ssl=tls)
    writer.write(ASK)
    if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200"):
        sys.exit("a connection was turned away")
    return writer


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
            GatewayPool(name=one.lower(), serves=one, model_name=f"m-{one}", concurrency_per_replica=8)
            for one in WRITTEN_CLASSES
        ]
        settings = GatewayConfig(deployment="d", namespace="n", pools=pools, max_body_bytes=65536)
        config.write_text(settings.model_dump_json(by_alias=True))
        ports = ("--host", HOST, "--port", "0", "--admin-port", "0")
        shown = ("--certificate", str(certificate(Path(directory) / "tls"))) if tls else ()
        files = ("--config", str(config), "--endpoints", "", *shown)
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
    held: list[asyncio.StreamWriter] = []
    while len(held) < connections:
        wave = min(AT_ONCE, connections - len(held))
        held += await asyncio.gather(*(connected(port, tls) for _ in range(wave)))
    grown = gateway.memory_info().rss - before
    took, cpu = [], sum(gateway.cpu_times()[:2])
    for _ in range(50):
        begun = time.perf_counter()
        (await connected(port, tls)).close()
        took.append((time.perf_counter() - begun) * 1000)
    cpu = (sum(gateway.cpu_times()[:2]) - cpu) / len(took) * 1000
    kind = "over TLS" if tls else "in clear text"
    print(f"{connections:,} idle connections {kind}: {grown / 1e6:.0f} MB more than {before / 1e6:.0f} MB,", end=" ")
    print(f"{grown / connections / 1000:.1f} KB each; connections and queries beside them: median", end=" ")
    print(f"{statistics.median(took):.1f} ms, longest {max(took):.1f} ms, {cpu:.2f} ms of the gateway's CPU")


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--connections", type=int, default=9800)
    parser.add_argument("--tls", action="store_true")
    arguments = parser.parse_args()
    raise_descriptor_limit()
    asyncio.run(measure(arguments.connections, tls=arguments.tls))


if __name__ == "__main__":
    main()
