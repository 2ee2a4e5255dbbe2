"""How Triton is started: its command line, its environment and its backends' directory."""

import os
import shutil
import sys
import sysconfig
from collections.abc import Mapping
from pathlib import Path

from autoglm_api.config import EngineSpec
from autoglm_node.settings import TritonPorts
from autoglm_node.validate import TRITON_BACKENDS

PYTHON = "python"


def command_for(
    spec: EngineSpec, triton_dir: Path, backends: Path, repository: Path, ports: TritonPorts, shared_memory: str
) -> list[str]:
    """Return Triton's command line: everything on loopback, models loaded only when told.

    `shared_memory` prefixes the names of its regions in /dev/shm, so that they can be found and removed.
    """
    command = [
        str(triton_dir / "bin" / "tritonserver"),
        f"--model-repository={repository}",
        f"--backend-directory={backends}",
        "--model-control-mode=explicit",
        "--http-address=127.0.0.1",
        f"--http-port={ports.http}",
        "--http-thread-count=1",
        "--grpc-address=127.0.0.1",
        f"--grpc-port={ports.grpc}",
        "--metrics-address=127.0.0.1",
        f"--metrics-port={ports.metrics}",
        "--log-info=false",
        "--disable-auto-complete-config",
    ]
    if TRITON_BACKENDS[spec.backend] == PYTHON:
        command.append(f"--backend-config=python,shm-region-prefix-name={shared_memory}")
    if spec.gpus == 0:
        command += ["--allow-gpu-metrics=false", "--pinned-memory-pool-byte-size=0"]
    return command


def environment_for(triton_dir: Path, outer: Mapping[str, str]) -> dict[str, str]:
    """Return Triton's environment.

    The Python backend's stub takes its packages from the `python3` on PATH, which must be ours; and our libpython has
    to come first, or the stub loads the distribution's library with our standard library and fails on import.
    """
    libraries = [sysconfig.get_config_var("LIBDIR") or "", str(triton_dir / "lib"), outer.get("LD_LIBRARY_PATH", "")]
    return {
        **outer,
        "LD_LIBRARY_PATH": ":".join(part for part in libraries if part),
        "PATH": f"{Path(sys.executable).parent}:{outer.get('PATH', os.defpath)}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def backends_for(spec: EngineSpec, triton_dir: Path, work_dir: Path) -> Path:
    """Return a backends' directory that Triton can use.

    The Python backend calls chmod on its stub, which only the stub's owner may do; where that is somebody else, the
    backend is copied (4 MB).
    """
    original = triton_dir / "backends"
    name = TRITON_BACKENDS[spec.backend]
    if name != PYTHON or _are_ours(original / name):
        return original
    copy = work_dir / "backends"
    shutil.copytree(original / name, copy / name, dirs_exist_ok=True)
    return copy


def _are_ours(directory: Path) -> bool:
    user = os.geteuid()
    return user == 0 or all(file.stat().st_uid == user for file in directory.iterdir())
