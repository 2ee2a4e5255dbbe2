"""The real node itself: restricted pods, Services, names, logs, exec, and the fleet behind fake pods."""

import json
from collections.abc import Iterator

import httpx
import pytest
import yaml

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster

pytestmark = pytest.mark.e2e
NAMESPACE = "e2e-node"
RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
POD_SECURITY = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def deployment(name: str, image: str, command: list[str], *, fake: bool = False) -> dict[str, object]:
    labels = {"app": name}
    container = {
        "name": name,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": command,
        "securityContext": RESTRICTED,
        "resources": {"requests": {"cpu": "10m", "memory": "20Mi"}},
    }
    if not fake:
        container["readinessProbe"] = {"httpGet": {"path": "/", "port": 8000}, "periodSeconds": 1}
    spec: dict[str, object] = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": POD_SECURITY,
        "containers": [container],
    }
    if fake:
        spec["tolerations"] = [{"key": names.LABEL_FAKE_GPU, "operator": "Exists"}]
        spec["nodeSelector"] = {names.LABEL_FAKE_GPU: "true"}
    template = {"metadata": {"labels": labels}, "spec": spec}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"replicas": 2, "selector": {"matchLabels": labels}, "template": template},
    }


WORLD: list[dict[str, object]] = [
    {
        "apiVersion": "v1",
        "kind": "Namespace",
        "metadata": {"name": NAMESPACE, "labels": {"pod-security.kubernetes.io/enforce": "restricted"}},
    },
    deployment("web", "autoglm/operator:dev", ["python3", "-m", "http.server", "8000", "--directory", "/opt/autoglm"]),
    deployment("fake", "nowhere/image:1", ["sleep"], fake=True),
    {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": NAMESPACE},
        "spec": {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8000}]},
    },
]


@pytest.fixture(scope="module")
def world(real_node: Cluster) -> Iterator[Cluster]:
    real_node.apply(yaml.safe_dump_all(WORLD))
    for name in ("web", "fake"):
        kubectl(real_node, "rollout", "status", f"deployment/{name}", "--timeout=60s")
    yield real_node
    real_node.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def kubectl(cluster: Cluster, *arguments: str) -> str:
    return cluster.kubectl("-n", NAMESPACE, *arguments, timeout_seconds=90)


def fetch_in_pod(cluster: Cluster, url: str) -> str:
    code = f"import urllib.request; print(urllib.request.urlopen({url!r}, timeout=5).read().decode())"
    return kubectl(cluster, "exec", "deployment/web", "--", "python3", "-c", code)


def fake_address(cluster: Cluster) -> str:
    return kubectl(cluster, "get", "pods", "-l", "app=fake", "-o", "jsonpath={.items[0].status.podIP}")


def test_a_service_answers_the_host(world: Cluster) -> None:
    address = kubectl(world, "get", "service", "web", "-o", "jsonpath={.spec.clusterIP}")
    # kube-proxy is a second later than the pods' readiness.
    with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
        assert "requirements.txt" in client.get(f"http://{address}/").text


@pytest.mark.parametrize("name", ["web", f"web.{NAMESPACE}.svc", f"web.{NAMESPACE}.svc.cluster.local"])
def test_pods_find_a_service_by_its_names(world: Cluster, name: str) -> None:
    assert "requirements.txt" in fetch_in_pod(world, f"http://{name}/")


def test_logs_are_there(world: Cluster) -> None:
    assert "GET / HTTP/1.1" in kubectl(world, "logs", "deployment/web", "--tail=20")


def test_simulated_replicas_answer_pods_and_host(world: Cluster) -> None:
    url = f"http://{fake_address(world)}:{names.WORKER_PORT}"
    body = {"model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
    answer = httpx.post(f"{url}{names.PATH_CHAT}", json=body, trust_env=False)
    assert answer.headers[names.HEADER_SIMULATED] == "true"
    assert answer.json()["usage"]["completion_tokens"] == 4
    assert fetch_in_pod(world, f"{url}{names.PATH_READYZ}").strip() == "simulated"


def test_simulated_replicas_count_each_for_itself(world: Cluster) -> None:
    items = json.loads(kubectl(world, "get", "pods", "-l", "app=fake", "-o", "json"))["items"]
    first, second = (item["status"]["podIP"] for item in items)
    body = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 3}
    before = [tokens_of(address) for address in (first, second)]
    httpx.post(f"http://{second}:{names.WORKER_PORT}{names.PATH_CHAT}", json=body, trust_env=False)
    assert [tokens_of(address) for address in (first, second)] == [before[0], before[1] + 3]


def tokens_of(address: str) -> float:
    page = httpx.get(f"http://{address}:{names.WORKER_ADMIN_PORT}{names.PATH_METRICS}", trust_env=False).text
    series = [line for line in page.splitlines() if line.startswith(names.METRIC_NODE_OUTPUT_TOKENS)]
    return float(series[0].split()[-1])
