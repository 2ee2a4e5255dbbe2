"""The children as objects: what must be true of them for security, for the contract, and for the API server."""

import json
from typing import Any

import pytest

from autoglm_api import names
from autoglm_api.config import EngineSpec, GatewayConfig
from autoglm_operator.core.keys import JSON
from autoglm_operator.core.memory import Memory
from autoglm_operator.core.observed import Observed
from autoglm_operator.core.reconcile import reconcile
from support.manifests import changed, two_pools
from support.simulated_kubernetes import IMAGES, NOW, UID, deployment


def _children(manifest: dict[str, Any] | None = None) -> list[JSON]:
    return list(reconcile(deployment(manifest), Observed(), Memory(), NOW, IMAGES).objects)


def _one(kind: str, part: str, manifest: dict[str, Any] | None = None) -> JSON:
    found = [one for one in _children(manifest) if one["kind"] == kind and part in one["metadata"]["name"]]
    assert len(found) == 1
    return found[0]


def _pods(manifest: dict[str, Any] | None = None) -> list[JSON]:
    return [one["spec"]["template"]["spec"] for one in _children(manifest) if one["kind"] == "Deployment"]


def test_pods_keep_the_restricted_profile() -> None:
    for pod in _pods():
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert not pod["enableServiceLinks"]
        security = pod["containers"][0]["securityContext"]
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["readOnlyRootFilesystem"]
        assert not security["allowPrivilegeEscalation"]


def test_workers_have_no_token_and_gateways_have_one() -> None:
    assert sorted(pod["automountServiceAccountToken"] for pod in _pods()) == [False, False, True]


def test_every_child_has_the_labels_it_is_found_by_and_one_controller() -> None:
    for child in _children():
        metadata = child["metadata"]
        assert metadata["labels"][names.LABEL_MANAGED_BY] == names.MANAGED_BY
        assert metadata["labels"][names.LABEL_DEPLOYMENT] == "shop"
        assert [(one["uid"], one["controller"]) for one in metadata["ownerReferences"]] == [(UID, True)]
        assert "finalizers" not in metadata


def test_no_deployment_carries_replicas() -> None:
    assert not [one for one in _children() if one["kind"] == "Deployment" and "replicas" in one["spec"]]


def test_selectors_find_exactly_the_pods_of_the_revision() -> None:
    worker = _one("Deployment", "-light-")
    pod_labels = worker["spec"]["template"]["metadata"]["labels"].items()
    assert worker["spec"]["selector"]["matchLabels"].items() <= pod_labels
    assert _one("Service", "-light-")["spec"]["selector"].items() <= pod_labels
    assert not _one("Service", "-large-")["spec"]["selector"].items() <= pod_labels


def test_the_engine_spec_is_what_the_node_runtime_reads() -> None:
    config = _one("ConfigMap", "-light-")
    spec = EngineSpec.model_validate(json.loads(config["data"][names.NODE_SPEC_KEY]))
    assert (spec.pool, spec.model_name, spec.serves) == ("light", "glm-light", "Simple")
    assert config["metadata"]["name"].endswith(spec.revision)
    volumes = {
        volume["name"]: volume for volume in _one("Deployment", "-light-")["spec"]["template"]["spec"]["volumes"]
    }
    assert volumes["engine"]["configMap"]["name"] == config["metadata"]["name"]


def test_the_gateways_configuration_is_what_the_gateway_reads() -> None:
    manifest = changed(two_pools(), "spec.queue", {"maxQueries": 7, "maxWaitSeconds": {"Normal": 9}})
    config = GatewayConfig.model_validate(json.loads(_one("ConfigMap", "-gateway", manifest)["data"]["gateway.json"]))
    assert [pool.name for pool in config.pools] == ["light", "large"]
    assert (config.queue.max_queries, config.queue.max_wait_seconds.normal) == (7, 9)


def test_the_gateway_may_read_its_own_configuration_and_endpoints_only() -> None:
    rules = _one("Role", "-gateway")["rules"]
    assert [(rule["resources"], rule.get("resourceNames")) for rule in rules] == [
        (["configmaps"], ["shop-gateway"]),
        (["endpointslices"], None),
    ]
    assert {verb for rule in rules for verb in rule["verbs"]} == {"get", "list", "watch"}


def test_the_gateway_may_read_the_one_secret_that_is_named() -> None:
    manifest = changed(two_pools(), "spec.gateway", {"auth": {"apiKeysSecretRef": {"name": "shop-keys"}}})
    rule = _one("Role", "-gateway", manifest)["rules"][-1]
    assert (rule["resources"], rule["resourceNames"], rule["verbs"]) == (
        ["secrets"],
        ["shop-keys"],
        ["get", "list", "watch"],
    )


def test_the_gateway_may_read_the_secret_with_the_url_of_its_redis() -> None:
    cache = {"redis": {"urlSecretRef": {"name": "shop-redis"}}, "timeToLiveSeconds": 60}
    manifest = changed(two_pools(), "spec.cache", cache)
    rule = _one("Role", "-gateway", manifest)["rules"][-1]
    assert (rule["resources"], rule["resourceNames"]) == (["secrets"], ["shop-redis"])
    config = GatewayConfig.model_validate(json.loads(_one("ConfigMap", "-gateway", manifest)["data"]["gateway.json"]))
    assert config.cache is not None
    assert config.cache.redis is not None
    assert (config.cache.time_to_live_seconds, config.cache.redis.url_secret_ref.key) == (60, "url")


TLS = {"tls": {"secretRef": {"name": "shop-tls"}}}


def test_with_a_certificate_clients_reach_gateways_over_tls_only() -> None:
    manifest = changed(two_pools(), "spec.gateway", TLS)
    (port,) = _one("Service", "-gateway", manifest)["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("https", 443, "https")
    (container,) = _one("Deployment", "-gateway", manifest)["spec"]["template"]["spec"]["containers"]
    ports = {one["name"]: one["containerPort"] for one in container["ports"]}
    assert ports["https"] == names.GATEWAY_TLS_PORT
    assert "http" not in ports, "old pods must not answer behind the Service's new port, nor new ones behind the old"
    assert "--tls" in container["args"]
    probed = {container[probe]["httpGet"]["port"] for probe in ("startupProbe", "readinessProbe", "livenessProbe")}
    assert probed <= ports.keys() - {"https"}, "probes are plain"
    config = GatewayConfig.model_validate(json.loads(_one("ConfigMap", "-gateway", manifest)["data"]["gateway.json"]))
    assert config.tls is not None
    assert config.tls.secret_ref.name == "shop-tls"


def test_without_a_certificate_nothing_speaks_tls() -> None:
    (port,) = _one("Service", "-gateway")["spec"]["ports"]
    assert (port["name"], port["port"], port["targetPort"]) == ("http", 80, "http")
    (container,) = _one("Deployment", "-gateway")["spec"]["template"]["spec"]["containers"]
    assert "--tls" not in container["args"]
    assert "https" not in {one["name"] for one in container["ports"]}


def test_the_certificates_secret_is_readable_once_even_if_it_has_the_keys_too() -> None:
    both = {**TLS, "auth": {"apiKeysSecretRef": {"name": "shop-keys"}}}
    rule = _one("Role", "-gateway", changed(two_pools(), "spec.gateway", both))["rules"][-1]
    assert (rule["resources"], rule["resourceNames"]) == (["secrets"], ["shop-keys", "shop-tls"])
    shared = {**TLS, "auth": {"apiKeysSecretRef": {"name": "shop-tls"}}}
    rule = _one("Role", "-gateway", changed(two_pools(), "spec.gateway", shared))["rules"][-1]
    assert rule["resourceNames"] == ["shop-tls"]


def test_another_certificate_replaces_no_pods() -> None:
    other = {"tls": {"secretRef": {"name": "other-tls"}}}
    pods = [_one("Deployment", "-gateway", changed(two_pools(), "spec.gateway", one)) for one in (TLS, other)]
    assert pods[0]["spec"] == pods[1]["spec"]


def test_the_access_log_is_the_gateways_configuration() -> None:
    manifest = changed(two_pools(), "spec.gateway", {"accessLog": "JSON"})
    config = GatewayConfig.model_validate(json.loads(_one("ConfigMap", "-gateway", manifest)["data"]["gateway.json"]))
    assert config.access_log == "JSON"


def test_the_gateway_may_also_read_the_one_config_map_that_holds_its_weights() -> None:
    manifest = changed(two_pools(), "spec.routing", {"weightsConfigMapRef": {"name": "my-weights"}})
    config_maps = _one("Role", "-gateway", manifest)["rules"][0]
    assert config_maps["resourceNames"] == ["shop-gateway", "my-weights"]
    config = GatewayConfig.model_validate(json.loads(_one("ConfigMap", "-gateway", manifest)["data"]["gateway.json"]))
    assert config.routing.weights_config_map_ref is not None
    assert config.routing.weights_config_map_ref.key == "weights.json"


def test_a_model_on_a_volume_is_mounted_read_only() -> None:
    manifest = changed(two_pools(), "spec.light.model.uri", "pvc://models/shop/3")
    pod = _one("Deployment", "-light-", manifest)["spec"]["template"]["spec"]
    assert {"name": "model", "persistentVolumeClaim": {"claimName": "models", "readOnly": True}} in pod["volumes"]
    assert {"name": "model", "mountPath": names.MODEL_MOUNT_DIR, "readOnly": True} in pod["containers"][0][
        "volumeMounts"
    ]
    spec = json.loads(_one("ConfigMap", "-light-", manifest)["data"][names.NODE_SPEC_KEY])
    assert spec["modelPath"] == "/models/shop/3"


def test_gpus_become_limits_beside_the_users_own() -> None:
    manifest = changed(two_pools(), "spec.light.engine", {"backend": "TensorRTLLM", "gpusPerReplica": 2})
    manifest = changed(manifest, "spec.light.model.uri", "pvc://models/engine")
    manifest = changed(manifest, "spec.light.template", {"resources": {"limits": {"cpu": "4"}}})
    pod = _one("Deployment", "-light-", manifest)["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"] == {"limits": {"cpu": "4", names.GPU_RESOURCE: "2"}}


def test_the_template_reaches_the_pods() -> None:
    template = {
        "image": "mine:2",
        "annotations": {"team": "shop"},
        "nodeSelector": {"zone": "a"},
        "tolerations": [{"key": "gpu", "operator": "Exists"}],
        "priorityClassName": "high",
    }
    template_of = _one("Deployment", "-light-", changed(two_pools(), "spec.light.template", template))["spec"][
        "template"
    ]
    assert template_of["metadata"]["annotations"]["team"] == "shop"
    assert template_of["metadata"]["annotations"][names.ANNOTATION_SCRAPE_PORT] == str(names.WORKER_ADMIN_PORT)
    pod = template_of["spec"]
    assert pod["containers"][0]["image"] == "mine:2"
    assert (pod["nodeSelector"], pod["priorityClassName"]) == ({"zone": "a"}, "high")


def test_a_worker_gets_the_time_it_needs_to_drain() -> None:
    pod = _one("Deployment", "-light-", changed(two_pools(), "spec.light.drainSeconds", 40))["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == 40 + names.GRACE_MARGIN_SECONDS


def test_the_gateway_gives_up_before_the_kubelet_kills_it() -> None:
    pod = _one("Deployment", "-gateway")["spec"]["template"]["spec"]
    arguments = pod["containers"][0]["args"]
    seconds = arguments[arguments.index("--drain-seconds") + 1]
    assert names.ENDPOINT_PROPAGATION_SECONDS + int(seconds) < pod["terminationGracePeriodSeconds"]


def test_the_gateways_probes_ask_the_thread_and_a_workers_its_admin_port() -> None:
    (gateway,) = _one("Deployment", "-gateway")["spec"]["template"]["spec"]["containers"]
    (worker,) = _one("Deployment", "-light-")["spec"]["template"]["spec"]["containers"]
    kinds = ("startupProbe", "readinessProbe", "livenessProbe")
    assert {gateway[kind]["httpGet"]["port"] for kind in kinds} == {names.PORT_NAME_PROBES}
    assert {worker[kind]["httpGet"]["port"] for kind in kinds} == {names.PORT_NAME_ADMIN}
    listening = {port["name"]: port["containerPort"] for port in gateway["ports"]}
    assert gateway["args"][gateway["args"].index("--probe-port") + 1] == str(listening[names.PORT_NAME_PROBES])


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.light.model", {"name": "other", "uri": "builtin://glm-shop-light"}),
        ("spec.light.model.uri", "builtin://other"),
        ("spec.light.engine", {"maxSequenceTokens": 64}),
        ("spec.light.concurrencyPerReplica", 3),
        ("spec.light.drainSeconds", 7),
        ("spec.light.template", {"image": "other"}),
        ("spec.light.template", {"annotations": {"a": "b"}}),
    ],
)
def test_what_makes_a_new_revision(path: str, value: Any) -> None:
    assert _revisions(changed(two_pools(), path, value))["light"] != _revisions(two_pools())["light"]
    assert _revisions(changed(two_pools(), path, value))["large"] == _revisions(two_pools())["large"]


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec.light.weight", 3),
        ("spec.light.scaling", {"minReplicas": 3, "maxReplicas": 5}),
        ("spec.queue", {"maxQueries": 1}),
        ("spec.gateway", {"replicas": 5}),
    ],
)
def test_what_does_not(path: str, value: Any) -> None:
    assert _revisions(changed(two_pools(), path, value)) == _revisions(two_pools())


def _revisions(manifest: dict[str, Any]) -> dict[str, str | None]:
    status = reconcile(deployment(manifest), Observed(), Memory(), NOW, IMAGES).status
    return {pool.name: pool.revision for pool in status.pools or ()}


def test_the_longest_names_stay_valid() -> None:
    manifest = changed(two_pools("n" * 50), "spec.light.name", "p" * 20)
    found = {one["metadata"]["name"] for one in _children(manifest)}
    assert max(map(len, found)) <= 63
    labels = {value for one in _children(manifest) for value in one["metadata"]["labels"].values()}
    assert max(map(len, labels)) <= 63


def test_a_worker_offers_grpc_beside_http_on_its_pod_and_its_service() -> None:
    named = {
        port["name"]: port["containerPort"]
        for port in _one("Deployment", "light")["spec"]["template"]["spec"]["containers"][0]["ports"]
    }
    assert named == {"http": names.WORKER_PORT, "admin": names.WORKER_ADMIN_PORT, "grpc": names.WORKER_GRPC_PORT}
    service = _one("Service", "light")["spec"]
    assert service["clusterIP"] == "None"
    assert {port["name"]: port["port"] for port in service["ports"]} == {
        "http": names.WORKER_PORT,
        "grpc": names.WORKER_GRPC_PORT,
    }


def test_an_embedding_pool_tells_its_workers_their_kind() -> None:
    manifest = two_pools()
    model = {"name": "minilm", "kind": "Embedding", "uri": "pvc://models/minilm"}
    manifest["spec"]["pools"].append({"name": "vectors", "serves": "Embedding", "model": model})
    told = EngineSpec.model_validate_json(_one("ConfigMap", "vectors", manifest)["data"][names.NODE_SPEC_KEY])
    assert (told.model_kind, told.serves, told.model_path) == ("Embedding", "Embedding", "/models/minilm")
