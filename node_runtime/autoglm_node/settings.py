"""How the process was started: flags over environment over defaults."""

import os
from argparse import ArgumentParser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from autoglm_api import names
from autoglm_node import cgroup

ENV_TRITON_DIR: Final = "AUTOGLM_TRITON_DIR"
ENV_WORK_DIR: Final = "AUTOGLM_WORK_DIR"
ENV_TERMINATION_MESSAGE: Final = "AUTOGLM_TERMINATION_MESSAGE_PATH"
ENV_CGROUP_DIR: Final = "AUTOGLM_CGROUP_DIR"  # where control groups are mounted
ENV_ENGINE_THREADS: Final = "AUTOGLM_ENGINE_THREADS"
DEFAULT_WORK_DIR: Final = "/tmp/autoglm"  # noqa: S108 - an emptyDir in the pod; other users do not exist there

TRITON_HOST: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class TritonPorts:
    """Triton's ports on loopback."""

    http: int = names.TRITON_HTTP_PORT
    grpc: int = names.TRITON_GRPC_PORT
    metrics: int = names.TRITON_METRICS_PORT

    @property
    def grpc_address(self) -> str:
        """Where it listens for gRPC, as host:port."""
        return f"{TRITON_HOST}:{self.grpc}"


@dataclass(frozen=True)
class Settings:
    """Where things are and where to listen."""

    spec: Path
    triton_dir: Path
    work_dir: Path
    termination_message: Path
    host: str = "0.0.0.0"  # noqa: S104 - a pod's address is known only at run time
    port: int = names.WORKER_PORT
    grpc_port: int = names.WORKER_GRPC_PORT
    admin_port: int = names.WORKER_ADMIN_PORT
    triton: TritonPorts = TritonPorts()
    cgroup_dir: Path = cgroup.ROOT
    engine_threads: int = 1
    propagation_seconds: float = names.ENDPOINT_PROPAGATION_SECONDS
    log_level: str = "INFO"


def from_arguments(arguments: Sequence[str]) -> Settings:
    """Return the settings of a command line; everything but the flags comes from the environment.

    Exits with a usage message when a flag is wrong.
    """
    parser = ArgumentParser(prog="autoglm_node", description="PID 1 of a worker: starts and fronts Triton.")
    parser.add_argument("--spec", type=Path, default=Path(names.NODE_SPEC_PATH), help="engine.json")
    parser.add_argument("--host", default=Settings.host, help="address to listen on")
    parser.add_argument("--port", type=int, default=names.WORKER_PORT, help="port of the queries")
    parser.add_argument("--grpc-port", type=int, default=names.WORKER_GRPC_PORT, help="port of queries by gRPC")
    parser.add_argument("--admin-port", type=int, default=names.WORKER_ADMIN_PORT, help="port of probes and metrics")
    parser.add_argument(
        "--triton-ports",
        type=int,
        nargs=3,
        metavar=("HTTP", "GRPC", "METRICS"),
        default=[names.TRITON_HTTP_PORT, names.TRITON_GRPC_PORT, names.TRITON_METRICS_PORT],
        help="Triton's ports on loopback",
    )
    parser.add_argument(
        "--propagation-seconds",
        type=float,
        default=float(names.ENDPOINT_PROPAGATION_SECONDS),
        help="how long to keep serving after SIGTERM, while endpoints catch up",
    )
    given = parser.parse_args(arguments)
    return Settings(
        spec=given.spec,
        triton_dir=Path(os.environ.get(ENV_TRITON_DIR, names.TRITON_DIR)),
        work_dir=Path(os.environ.get(ENV_WORK_DIR, DEFAULT_WORK_DIR)),
        termination_message=Path(os.environ.get(ENV_TERMINATION_MESSAGE, names.TERMINATION_MESSAGE_PATH)),
        host=given.host,
        port=given.port,
        grpc_port=given.grpc_port,
        admin_port=given.admin_port,
        triton=TritonPorts(*given.triton_ports),
        cgroup_dir=Path(os.environ.get(ENV_CGROUP_DIR, str(cgroup.ROOT))),
        engine_threads=int(os.environ.get(ENV_ENGINE_THREADS, "1")),
        propagation_seconds=given.propagation_seconds,
        log_level=os.environ.get(names.ENV_LOG_LEVEL, "INFO").upper(),
    )
