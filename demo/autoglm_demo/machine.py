"""The machine and the versions that a run's figures belong to."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path

from autoglm_localcluster.cluster import Cluster

PACKAGES = ("autoglm-operator", "kopf", "kubernetes", "httptools", "uvloop", "openai")


def machine() -> dict[str, str]:
    """Processor, cores, memory and operating system."""
    return {
        "processor": _first(Path("/proc/cpuinfo"), r"model name\s*:\s*(.+)") or platform.machine(),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
    }


def versions(cluster: Cluster) -> dict[str, str]:
    """Kubernetes, Python and the packages that carry the product."""
    text = cluster.kubectl("version")
    server = re.search(r"Server Version: (\S+)", text)
    kubernetes = f"{server[1] if server else 'unknown'} ({cluster.provider})"
    packages = {f"{name} (Python)": version(name) for name in PACKAGES}
    return {"Kubernetes": kubernetes, "Python": platform.python_version(), **packages}


def _first(file: Path, pattern: str) -> str | None:
    found = re.search(pattern, file.read_text()) if file.exists() else None
    return found[1].strip() if found else None
