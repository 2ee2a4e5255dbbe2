"""What a user may write, told by a real API server."""

import json
from typing import Any

import pytest
import yaml

from autoglm_api import names
from autoglm_localcluster.cluster import Cluster, KubectlError
from support.manifests import EXAMPLES, REMOVE, REPOSITORY, changed, two_pools

pytestmark = pytest.mark.cluster

_GPU = {"backend": "TensorRTLLM", "gpusPerReplica": 1}
_TENSORRT = {"backend": "TensorRT", "gpusPerReplica": 1}
_PVC = {"name": "glm-light", "uri": "pvc://models/light"}
_POLICY = {"type": "Pods", "value": 1, "periodSeconds": 60}
_SIGNAL = {"type": "Concurrency", "target": "4"}


def _pools(*serves: str) -> list[dict[str, Any]]:
    return [
        {"name": f"p{n}", "serves": which, "model": {"name": f"m{n}", "uri": "builtin://m"}}
        for n, which in enumerate(serves)
    ]


def _with_encoder(engine: dict[str, Any]) -> list[dict[str, Any]]:
    model = {"name": "minilm", "kind": "Embedding", "uri": "builtin://minilm"}
    return [*_pools("Simple", "Complex"), {"name": "v", "serves": "Embedding", "model": model, "engine": engine}]


def _scaling(path: str) -> str:
    return f"spec.light.scaling.{path}"


def _resources(**kinds: dict[str, Any]) -> dict[str, Any]:
    return {"resources": kinds}


BAD: list[tuple[str, Any, str]] = [
    # names
    ("metadata.name", "shop.assistant", "metadata.name names Services: use at most 50 lower-case letters"),
    ("metadata.name", "s" * 51, "metadata.name names Services: use at most 50 lower-case letters"),
    ("metadata.name", "glm-light", "a pool's model.name equals metadata.name"),
    ("spec.light.name", "Light", "spec.pools[0].name in body should match"),
    ("spec.light.name", "a" * 21, "Too long: may not be more than 20"),
    ("spec.light.name", "", "spec.pools[0].name in body should be at least 1 chars long"),
    ("spec.light.name", "large", 'Duplicate value: {"name":"large"}'),
    ("spec.light.name", REMOVE, "spec.pools[0].name: Required value"),
    # which pools there are
    ("spec", REMOVE, "spec: Required value"),
    ("spec.pools", REMOVE, "spec.pools: Required value"),
    ("spec.pools", [], "spec.pools in body should have at least 1 items"),
    ("spec.pools", _pools(*["Simple", "Complex"] * 5), "must have at most 8 items"),
    ("spec.pools", _pools("Complex"), "no pool serves Simple: add a pool with serves: Simple"),
    ("spec.pools", _pools("Simple"), "no pool serves Complex: add a pool with serves: Complex"),
    ("spec.light.serves", "Medium", 'Unsupported value: "Medium": supported values: "Simple", "Complex", "Embedding"'),
    ("spec.light.serves", REMOVE, "spec.pools[0].serves: Required value"),
    ("spec.light.weight", 0, "spec.pools[0].weight in body should be greater than or equal to 1"),
    ("spec.light.weight", 101, "should be less than or equal to 100"),
    ("spec.light.weight", "2", 'must be of type integer: "string"'),
    ("spec.light.weight", 1.5, 'must be of type int64: "float64"'),
    # model and engine
    ("spec.light.model", REMOVE, "spec.pools[0].model: Required value"),
    ("spec.light.model.uri", REMOVE, "spec.pools[0].model.uri: Required value"),
    ("spec.light.model.uri", "s3://models/light", "spec.pools[0].model.uri in body should match"),
    ("spec.light.model.uri", "builtin://../etc", "spec.pools[0].model.uri in body should match"),
    ("spec.light.model.uri", "pvc://models/../../etc", "the path in model.uri must not have '.' or '..' as a part"),
    ("spec.light.model.name", "glm-large", "two pools have the same model.name"),
    ("spec.light.model.name", "-glm", "spec.pools[0].model.name in body should match"),
    ("spec.light.engine", {"backend": "VLLM"}, 'Unsupported value: "VLLM": supported values: "ONNXRuntime"'),
    ("spec.light.engine", {"backend": "TensorRTLLM"}, "TensorRTLLM needs a GPU: set engine.gpusPerReplica to 1"),
    ("spec.light.engine", _GPU, "TensorRTLLM needs an engine that was built for its GPU: set model.uri to pvc://"),
    ("spec.light.engine", {"gpusPerReplica": 1}, "ONNXRuntime is the CPU engine: set engine.gpusPerReplica to 0"),
    ("spec.light.serves", "Embedding", "a pool whose model.kind is Embedding has serves: Embedding, and only such"),
    ("spec.light.model.kind", "Embedding", "a pool whose model.kind is Embedding has serves: Embedding, and only such"),
    ("spec.light.model.kind", "Reranking", 'Unsupported value: "Reranking"'),
    ("spec.light.engine", _TENSORRT, "TensorRT serves Embedding models only; use TensorRTLLM"),
    ("spec.pools", _with_encoder(_GPU), "TensorRTLLM serves Generative models only; use TensorRT"),
    ("spec.pools", _with_encoder({"backend": "TensorRT"}), "TensorRT needs a GPU: set engine.gpusPerReplica"),
    ("spec.pools", _with_encoder(_TENSORRT), "TensorRT needs an engine that was built for its GPU: set model"),
    ("spec.pools", _with_encoder({"backend": "PyTorch"}), "PyTorch serves Generative models only; use ONNX"),
    ("spec.light.engine", {"backend": "PyTorch", "gpusPerReplica": 1}, "PyTorch is a CPU engine: set engine.gpusPer"),
    ("spec.light.engine", {"precision": "FP8"}, "the CPU engine has no FP16, FP8 or INT4: set engine.precision to"),
    ("spec.light.engine", {"precision": "INT4"}, "the CPU engine has no FP16, FP8 or INT4: set engine.precision to"),
    ("spec.light.engine", {"precision": "BF16"}, "ONNXRuntime has no BF16 on a CPU: use backend PyTorch, or"),
    (
        "spec.light.engine",
        {"backend": "PyTorch", "precision": "INT8"},
        "PyTorch has no INT8 whose replies are the same",
    ),
    ("spec.light.engine", {"gpusPerReplica": 17}, "should be less than or equal to 16"),
    ("spec.light.engine", {"maxSequenceTokens": 8}, "should be greater than or equal to 16"),
    ("spec.light.concurrencyPerReplica", 0, "should be greater than or equal to 1"),
    ("spec.light.concurrencyPerReplica", 2**31, "should be less than or equal to 1024"),
    ("spec.light.drainSeconds", -1, "should be greater than or equal to 0"),
    ("spec.light.drainSeconds", "30s", 'must be of type integer: "string"'),
    # scaling
    (_scaling("minReplicas"), 2, "minReplicas must not be greater than maxReplicas; raise maxReplicas"),
    (_scaling("minReplicas"), -1, "should be greater than or equal to 0"),
    (_scaling("maxReplicas"), 1001, "should be less than or equal to 1000"),
    (_scaling("signals"), [], "should have at least 1 items"),
    (_scaling("signals"), [_SIGNAL, _SIGNAL], 'Duplicate value: {"name":"","type":"Concurrency"}'),
    (_scaling("signals"), [{**_SIGNAL, "type": "CPU"}], 'Unsupported value: "CPU"'),
    (_scaling("signals"), [{"type": "QueuedQueriesPerReplica"}], "QueuedQueriesPerReplica, Prometheus, KafkaLag needs"),
    (_scaling("signals"), [{**_SIGNAL, "target": 0}], "must be greater than 0, such as 4"),
    (_scaling("signals"), [{**_SIGNAL, "target": "0.0"}], "must be greater than 0, such as 4"),
    (_scaling("signals"), [{**_SIGNAL, "target": "-3"}], "target in body should match"),
    (_scaling("signals"), [{**_SIGNAL, "target": "four"}], "target in body should match"),
    (_scaling("behavior"), {"scaleDown": {"stabilizationWindowSeconds": 3601}}, "less than or equal to 3600"),
    (_scaling("behavior"), {"scaleUp": {"selectPolicy": "Most"}}, 'Unsupported value: "Most"'),
    (_scaling("behavior"), {"scaleUp": {"policies": []}}, "policies in body should have at least 1 items"),
    (_scaling("behavior"), {"scaleUp": {"policies": [{**_POLICY, "value": 0}]}}, "greater than or equal to 1"),
    (_scaling("behavior"), {"scaleUp": {"policies": [{**_POLICY, "periodSeconds": 1801}]}}, "equal to 1800"),
    (_scaling("behavior"), {"scaleUp": {"policies": [{**_POLICY, "type": "Nodes"}]}}, 'Unsupported value: "Nodes"'),
    (_scaling("behavior"), {"scaleUp": {"tolerance": -1}}, "should be greater than or equal to 0"),
    # pods
    ("spec.light.template", {"image": "a b"}, "template.image in body should match"),
    ("spec.light.template", {"priorityClassName": "High!"}, "priorityClassName in body should match"),
    ("spec.light.template", {"nodeSelector": {"gpu type": "x"}}, "a key must be NAME or DOMAIN/NAME"),
    ("spec.light.template", {"nodeSelector": {"gpu": "a b"}}, "nodeSelector.gpu in body should match"),
    ("spec.light.template", {"annotations": {"a/b/c": "x"}}, "a key must be NAME or DOMAIN/NAME"),
    ("spec.light.template", _resources(requests={"cpu": "lots"}), "requests.cpu in body should match"),
    ("spec.light.template", _resources(requests={"cpu": -1}), "should be greater than or equal to 0"),
    ("spec.light.template", _resources(requests={"mem": "1Gi"}), "unknown resource: use cpu, memory"),
    (
        "spec.light.template",
        _resources(requests={"memory": "2Gi"}, limits={"memory": "1Gi"}),
        "a request must not be greater than its limit; raise the limit or lower the request",
    ),
    (
        "spec.light.template",
        _resources(requests={"nvidia.com/gpu": 1}),
        "set engine.gpusPerReplica instead of requesting nvidia.com/gpu",
    ),
    (
        "spec.light.template",
        _resources(limits={"nvidia.com/gpu": 1}),
        "set engine.gpusPerReplica instead of limiting nvidia.com/gpu",
    ),
    ("spec.light.template", {"tolerations": [{"key": "gpu", "effect": "Never"}]}, 'Unsupported value: "Never"'),
    (
        "spec.light.template",
        {"tolerations": [{"key": "gpu", "operator": "Exists", "value": "yes"}]},
        "a toleration with operator Exists has no value",
    ),
    ("spec.light.template", {"tolerations": [{"value": "a"}]}, "a toleration without key needs operator Exists"),
    # gateway, routing, queue
    ("spec.gateway.replicas", 0, "should be greater than or equal to 1"),
    ("spec.gateway.replicas", 33, "should be less than or equal to 32"),
    ("spec.gateway.limits.maxBodyBytes", 1, "should be greater than or equal to 1024"),
    ("spec.routing.overrideHeader", "X Class", "spec.routing.overrideHeader in body should match"),
    ("spec.routing.overrideHeader", "Authorization", "this header has a meaning of its own"),
    ("spec.routing.overrideHeader", "X-AutoGLM-Task", "this header has a meaning of its own"),
    ("spec.routing.threshold", "Soft", 'Unsupported value: "Soft"'),
    ("spec.routing.scoreThreshold", 0, "should be greater than or equal to 1"),
    ("spec.routing.complexSharePercent", 101, "should be less than or equal to 100"),
    ("spec.routing.uncertainPoints", 51, "should be less than or equal to 50"),
    ("spec.routing.spilloverFloorPercent", 101, "should be less than or equal to 100"),
    ("spec.routing.weightsConfigMapRef", {"name": "My_Weights"}, "weightsConfigMapRef.name in body should match"),
    (
        "spec.routing.rules",
        [{"name": "all", "match": {}, "class": "Complex"}],
        "a rule without a condition would take every query: give model, pathPrefix, tools or taskType",
    ),
    ("spec.routing.rules", [{"name": "a", "match": {"tools": True}, "class": "Hard"}], 'Unsupported value: "Hard"'),
    (
        "spec.routing.rules",
        [{"name": "a", "match": {"tools": True}, "class": "Embedding"}],
        'Unsupported value: "Embedding": supported values: "Simple", "Complex"',
    ),
    ("spec.routing.rules", [{"name": "a", "match": {"pathPrefix": "v1"}, "class": "Simple"}], "should match"),
    ("spec.queue.maxQueries", -1, "should be greater than or equal to 0"),
    ("spec.queue.maxWaitSeconds.Normal", 3601, "should be less than or equal to 3600"),
    ("spec.paused", "yes", 'must be of type boolean: "string"'),
    # unknown fields: refused by the strict validation that kubectl asks for
    ("spec.pool", [], 'unknown field "spec.pool"'),
    ("spec.light.replicas", 3, 'unknown field "spec.pools[0].replicas"'),
    ("spec.light.template.hostNetwork", True, 'unknown field "spec.pools[0].template.hostNetwork"'),
    ("spec.queue.maxWaitSeconds.normal", 5, 'unknown field "spec.queue.maxWaitSeconds.normal"'),
]


@pytest.fixture(scope="module")
def cluster(control_plane: Cluster) -> Cluster:
    control_plane.apply((REPOSITORY / "crds" / f"{names.CRD_NAME.partition('.')[2]}_{names.PLURAL}.yaml").read_text())
    control_plane.kubectl("wait", "--for=condition=Established", f"crd/{names.CRD_NAME}")
    return control_plane


def _try(cluster: Cluster, manifest: dict[str, Any]) -> dict[str, Any]:
    """Return the object as the API server would store it."""
    arguments = ("create", "--dry-run=server", "--validate=strict", "-o", "json", "-f", "-")
    answer: dict[str, Any] = json.loads(cluster.kubectl(*arguments, stdin=json.dumps(manifest)))
    return answer


def test_the_good_manifest_is_accepted_with_its_defaults(cluster: Cluster) -> None:
    stored = _try(cluster, two_pools())
    light = stored["spec"]["pools"][0]
    assert (light["weight"], light["engine"]["backend"], light["scaling"]["maxReplicas"]) == (1, "ONNXRuntime", 1)


@pytest.mark.parametrize(("path", "value", "sentence"), BAD)
def test_a_bad_manifest_is_refused_with_a_sentence(cluster: Cluster, path: str, value: Any, sentence: str) -> None:
    with pytest.raises(KubectlError) as refusal:
        _try(cluster, changed(two_pools(), path, value))
    assert sentence in str(refusal.value)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (_scaling("signals"), [{"type": "Concurrency", "target": 4}]),
        (_scaling("signals"), [{"type": "Concurrency", "target": "500m"}]),
        (_scaling("behavior"), {"scaleDown": {"selectPolicy": "Disabled"}}),
        ("spec.light.template", _resources(requests={"cpu": "300m"}, limits={"cpu": "0.3"})),
        ("spec.light.template", _resources(requests={"cpu": 1}, limits={"cpu": "1", "hugepages-2Mi": "4Mi"})),
        ("spec.light.template", {"tolerations": [{"operator": "Exists"}]}),
        ("spec.light.model.uri", "pvc://models"),
        ("spec.light.model.uri", "pvc://models/a..b/c"),
        ("metadata.name", "s" * 50),
    ],
)
def test_a_value_at_the_border_is_accepted(cluster: Cluster, path: str, value: Any) -> None:
    _try(cluster, changed(two_pools(), path, value))


def test_a_gpu_pool_is_accepted(cluster: Cluster) -> None:
    _try(cluster, changed(changed(two_pools(), "spec.light.engine", _GPU), "spec.light.model", _PVC))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.parent.name)
def test_every_example_is_accepted(cluster: Cluster, example: Any) -> None:
    for document in yaml.safe_load_all(example.read_text()):
        if document["kind"] == names.KIND:
            document["metadata"]["namespace"] = "default"  # the example's own does not exist here
            assert _try(cluster, document)["spec"]["pools"]
        else:
            cluster.kubectl("create", "--dry-run=client", "--validate=strict", "-f", "-", stdin=json.dumps(document))


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("spec.pools.concurrencyPerReplica", "Queries that one replica works on at once"),
        ("spec.pools.scaling.behavior", "autoscaling/v2 behavior"),
        ("spec.gateway.replicas", "Number of gateway pods"),
        ("status.pools.lastDecision", "The last scaling decision"),
    ],
)
def test_kubectl_explain_shows_the_docs(cluster: Cluster, field: str, text: str) -> None:
    assert text in cluster.kubectl("explain", f"{names.SINGULAR}.{field}")


def test_columns_short_name_and_category(cluster: Cluster) -> None:
    cluster.kubectl("create", "-f", "-", stdin=json.dumps(two_pools("columns")))
    try:
        status = {"light": "1/2", "large": "0/1", "conditions": [_condition()]}
        patch = ("patch", names.SHORT_NAME, "columns", "--subresource=status", "--type=merge", "-p")
        cluster.kubectl(*patch, json.dumps({"status": status}))
        head, row = cluster.kubectl("get", names.SHORT_NAME).splitlines()
        assert head.split() == ["NAME", "READY", "LIGHT", "LARGE", "REASON", "AGE"]
        assert row.split()[:5] == ["columns", "False", "1/2", "0/1", "PoolNotReady"]
        assert "columns" in cluster.kubectl("get", names.CATEGORY)
    finally:
        cluster.kubectl("delete", names.SHORT_NAME, "columns")


def _condition() -> dict[str, str]:
    return {
        "type": "Ready",
        "status": "False",
        "reason": "PoolNotReady",
        "message": "large has no ready replica",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }


def test_the_definition_is_structural_and_served(cluster: Cluster) -> None:
    definition = json.loads(cluster.kubectl("get", "crd", names.CRD_NAME, "-o", "json"))
    conditions = {entry["type"]: entry["status"] for entry in definition["status"]["conditions"]}
    assert conditions == {"NamesAccepted": "True", "Established": "True"}
    assert definition["status"]["storedVersions"] == [names.VERSION]
