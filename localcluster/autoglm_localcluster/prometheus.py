"""Prometheus in the cluster, for the operator's scaling and for the demo's figures."""

from typing import Final

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.paths import MANIFESTS

NAMESPACE: Final = "monitoring"
URL: Final = f"http://prometheus.{NAMESPACE}.svc:9090"
_ROLLOUT_SECONDS: Final = 90


def deploy(cluster: Cluster) -> None:
    """Apply the manifest and wait until Prometheus is ready."""
    cluster.apply(render((MANIFESTS / "prometheus.yaml").read_text()))
    timeout = f"--timeout={_ROLLOUT_SECONDS}s"
    cluster.kubectl(
        "-n", NAMESPACE, "rollout", "status", "deployment/prometheus", timeout, timeout_seconds=_ROLLOUT_SECONDS + 5
    )


def address(cluster: Cluster) -> str:
    """Prometheus' address as this host reaches it (Service addresses are routed on the local cluster)."""
    ip = cluster.kubectl("-n", NAMESPACE, "get", "service", "prometheus", "-o", "jsonpath={.spec.clusterIP}")
    return f"http://{ip}:9090"


def render(template: str) -> str:
    """Fill in the contract's label and annotation names, as Prometheus' service discovery spells them."""
    values = {
        "@META_SCRAPE@": meta(names.ANNOTATION_SCRAPE, "annotation"),
        "@META_PORT@": meta(names.ANNOTATION_SCRAPE_PORT, "annotation"),
        "@META_DEPLOYMENT@": meta(names.LABEL_DEPLOYMENT, "label"),
        "@META_POOL@": meta(names.LABEL_POOL, "label"),
        "@META_REVISION@": meta(names.LABEL_REVISION, "label"),
        "@SERIES_NAMESPACE@": names.SERIES_LABEL_NAMESPACE,
        "@SERIES_DEPLOYMENT@": names.SERIES_LABEL_DEPLOYMENT,
        "@SERIES_POOL@": names.SERIES_LABEL_POOL,
    }
    for placeholder, value in values.items():
        template = template.replace(placeholder, value)
    return template


def meta(name: str, sort: str) -> str:
    """Name of the discovery label for a pod's label or annotation: every odd character becomes an underscore."""
    spelled = "".join(character if character.isalnum() else "_" for character in name)
    return f"__meta_kubernetes_pod_{sort}_{spelled}"
