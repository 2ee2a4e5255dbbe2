"""What the demo puts on the cluster: the chart, as a user installs it, and the examples' manifests."""

import os
import subprocess
from collections.abc import Mapping

import yaml

from autoglm_api import names
from autoglm_api.spec import Spec, parse_spec
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.paths import REPOSITORY

CHART = REPOSITORY / "charts" / "autoglm"
EXAMPLES = REPOSITORY / "examples"
RELEASE = "autoglm"
SYSTEM_NAMESPACE = "autoglm-system"
PROMETHEUS_URL = "http://prometheus.monitoring.svc:9090"
IMAGE_TAG = "dev"
VALUES: Mapping[str, str | bool] = {
    "prometheus.url": PROMETHEUS_URL,
    "images.operator.tag": IMAGE_TAG,
    "images.gateway.tag": IMAGE_TAG,
    "images.node.tag": IMAGE_TAG,
}


class GroundError(RuntimeError):
    """The chart or a manifest could not be installed; the message says why."""


def install(cluster: Cluster, values: Mapping[str, str | bool] = VALUES, *, within_seconds: int = 120) -> None:
    """Install or upgrade the chart with Helm and wait until the operator is available."""
    settings = [argument for name, value in values.items() for argument in _setting(name, value)]
    helm(
        cluster,
        *("upgrade", "--install", RELEASE, str(CHART), "--namespace", SYSTEM_NAMESPACE, "--create-namespace"),
        *("--wait", "--timeout", f"{within_seconds}s", *settings),
    )


def _setting(name: str, value: str | bool) -> tuple[str, str]:  # noqa: FBT001 - a value of the chart
    if isinstance(value, bool):
        return "--set", f"{name}={str(value).lower()}"
    return "--set-string", f"{name}={value}"


def uninstall(cluster: Cluster) -> None:
    """Uninstall the chart; the custom resource definition, workers and gateways stay."""
    helm(cluster, "uninstall", RELEASE, "--namespace", SYSTEM_NAMESPACE, "--wait")


def helm(cluster: Cluster, *arguments: str) -> str:
    """Run Helm against the cluster and return its output; raises GroundError."""
    environment = {**os.environ, **cluster.environment()}
    result = subprocess.run(["helm", *arguments], env=environment, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        raise GroundError(f"helm {arguments[0]}: {result.stderr.strip()}")
    return result.stdout


def apply_example(cluster: Cluster, name: str) -> Spec:
    """Apply an example's manifest as a user would, and return the spec of its deployment."""
    manifest = EXAMPLES / name / "manifest.yaml"
    cluster.kubectl("apply", "-f", str(manifest))
    documents = yaml.safe_load_all(manifest.read_text())
    return next(parse_spec(document["spec"]) for document in documents if document["kind"] == names.KIND)
