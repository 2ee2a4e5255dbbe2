"""A plain Triton, as it comes: the control of every scenario."""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from autoglm_localcluster.triton import triton_root
from autoglm_node import triton_server
from autoglm_pitfalls.models import Model
from support.node_process import free_ports, wait_for

_START_SECONDS = 40
_STOP_SECONDS = 20


class RawTriton:
    """A running tritonserver that nobody looks after."""

    def __init__(self, process: subprocess.Popen[bytes], ports: Sequence[int], directory: Path, region: str) -> None:
        self.process = process
        self.directory = directory
        self.url = f"http://127.0.0.1:{ports[0]}"
        self.grpc = f"127.0.0.1:{ports[1]}"
        self.metrics_url = f"http://127.0.0.1:{ports[2]}/metrics"
        self._region = region
        self._http = httpx.Client(limits=httpx.Limits(max_connections=None))

    def status(self, path: str) -> int:
        """GET a path; 0 when nobody answers."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=10).status_code
        except httpx.TransportError:
            return 0

    def load(self, model: Model) -> int:
        """Write a model and load it; returns the HTTP status."""
        write(self.directory / "repository", model)
        return self.control(model.name, "load")

    def control(self, name: str, verb: str) -> int:
        """POST load or unload of one model."""
        return httpx.post(f"{self.url}/v2/repository/models/{name}/{verb}", timeout=60).status_code

    def infer(self, model: str, *, width: int = 1, rows: int | None = None, timeout: float = 30) -> httpx.Response:
        """Send one query; connections are kept."""
        return self._http.post(f"{self.url}/v2/models/{model}/infer", json=body(width, rows), timeout=timeout)

    def metric(self, name: str, *labels: str) -> float:
        """Return the sum of a metric's samples that carry all these texts among their labels."""
        lines = httpx.get(self.metrics_url, timeout=5).text.splitlines()
        found = [line for line in lines if line.startswith(name + "{") and all(label in line for label in labels)]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def stubs(self) -> list[psutil.Process]:
        """Return the processes of its Python models."""
        family = psutil.Process(self.process.pid).children(recursive=True)
        return [one for one in family if "triton_python_backend_stub" in " ".join(one.cmdline())]

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def regions(self) -> list[Path]:
        """Return its shared memory regions."""
        return list(Path("/dev/shm").glob(f"{self._region}*"))  # noqa: S108 - where Triton keeps them


def body(width: int = 1, rows: int | None = None) -> dict[str, object]:
    """Return the body of a query; with `rows` it has a batch dimension."""
    shape = [width] if rows is None else [rows, width]
    return {"inputs": [{"name": "x", "datatype": "INT32", "shape": shape, "data": [1] * (width * (rows or 1))}]}


def write(repository: Path, model: Model) -> None:
    """Write a model into a repository."""
    version = repository / model.name / "1"
    version.mkdir(parents=True, exist_ok=True)
    (version / "model.py").write_text(model.code)
    (version.parent / "config.pbtxt").write_text(model.config())


@contextmanager
def raw_triton(directory: Path, models: Sequence[Model], *flags: str) -> Iterator[RawTriton]:
    """Start a plain Triton with these models loaded; stop it and all that it left at the end."""
    repository, ports = directory / "repository", free_ports(3)
    repository.mkdir(parents=True, exist_ok=True)
    for model in models:
        write(repository, model)
    region = f"pitfall_{ports[0]}_"
    with (directory / "triton.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - Triton's own command line
            [*_command(repository, ports, region), *(f"--load-model={model.name}" for model in models), *flags],
            env=triton_server.environment_for(triton_root(), os.environ),
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    server = RawTriton(process, ports, directory, region)
    family: list[psutil.Process] = []
    try:
        wait_for(lambda: server.status("/v2/health/ready") == httpx.codes.OK, _START_SECONDS, "ready Triton")
        family = server.stubs()
        yield server
    finally:
        server.close()
        _end(process, family)
        for left in server.regions():
            left.unlink(missing_ok=True)


def _command(repository: Path, ports: Sequence[int], region: str) -> list[str]:
    root = triton_root()
    return [
        str(root / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={root / 'backends'}",
        "--model-control-mode=explicit",
        *("--http-address=127.0.0.1", f"--http-port={ports[0]}"),
        *("--grpc-address=127.0.0.1", f"--grpc-port={ports[1]}"),
        *("--metrics-address=127.0.0.1", f"--metrics-port={ports[2]}"),
        f"--backend-config=python,shm-region-prefix-name={region}",
        *("--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0", "--metrics-interval-ms=100"),
    ]


def _end(process: subprocess.Popen[bytes], family: list[psutil.Process]) -> None:
    if process.poll() is None:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(1)
    for left in family:
        with suppress(psutil.NoSuchProcess):
            left.kill()
    if process.poll() is None:
        process.kill()
        process.wait(_STOP_SECONDS)


def seconds_of(started: float) -> float:
    """Return the seconds since a monotonic time."""
    return time.monotonic() - started
