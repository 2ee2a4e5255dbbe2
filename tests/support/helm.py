"""Helm on a test cluster, and the chart rendered to objects."""

import json
import os
import subprocess
from typing import Any, Final

import yaml

from autoglm_localcluster import toolchain
from autoglm_localcluster.cluster import Cluster
from support.manifests import REPOSITORY

CHART: Final = REPOSITORY / "charts" / "autoglm"
NAMESPACE: Final = "autoglm-system"


class HelmError(RuntimeError):
    """Helm refused; the message is what it printed."""


def helm(*arguments: str, cluster: Cluster | None = None) -> str:
    """Run helm and return what it printed; raises HelmError."""
    toolchain.ensure(toolchain.CLIENT_TOOLS)
    environment = {**os.environ, **(cluster.environment() if cluster else {})}
    command = [str(toolchain.HELM.path), *arguments]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    if result.returncode != 0:
        raise HelmError(result.stderr)
    return result.stdout


def rendered(values: dict[str, Any] | None = None, release: str = "autoglm") -> list[dict[str, Any]]:
    """Return the objects that the chart makes of some values."""
    arguments = ["template", release, str(CHART), "--namespace", NAMESPACE, "--set-json", json.dumps(values or {})]
    return [document for document in yaml.safe_load_all(helm(*arguments)) if document]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the objects of one kind."""
    return [document for document in objects if document["kind"] == kind]
