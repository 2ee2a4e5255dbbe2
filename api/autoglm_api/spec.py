"""`spec` of an AutoGLMDeployment: the only definition; the CRD is generated from it.

A field is here only when code honours it. Descriptions are what `kubectl explain` shows.
"""

from enum import StrEnum
from typing import Annotated, Any, Final, Self

from pydantic import ConfigDict, Field, model_validator

from autoglm_api import names
from autoglm_api.schema import Model, PositiveQuantity, Quantity, cel, list_map, rules

_DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_URI_PATTERN: Final = (
    r"^(builtin://[a-z0-9]([-a-z0-9]*[a-z0-9])?|pvc://[a-z0-9]([-a-z0-9]*[a-z0-9])?(/[A-Za-z0-9._-]+)*)$"
)


class QueryClass(StrEnum):
    """The class of a query: which kind of pool answers it."""

    SIMPLE = "Simple"
    COMPLEX = "Complex"


class Backend(StrEnum):
    """The engine that runs inside Triton."""

    ONNX_RUNTIME = "ONNXRuntime"
    TENSORRT_LLM = "TensorRTLLM"


class SignalType(StrEnum):
    """What a pool's size follows."""

    QUEUED_QUERIES_PER_REPLICA = "QueuedQueriesPerReplica"
    CONCURRENCY = "Concurrency"


class SelectPolicy(StrEnum):
    """Which of several scaling policies counts, as in autoscaling/v2."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class PolicyType(StrEnum):
    """The unit of a scaling policy, as in autoscaling/v2."""

    PODS = "Pods"
    PERCENT = "Percent"


class ModelSource(Model):
    """Which model a pool serves and where its files are."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[a-zA-Z0-9]([-a-zA-Z0-9._]*[a-zA-Z0-9])?$",
            description="Name of the model. A client that asks for this name gets this pool; unique among the pools.",
        ),
    ]
    uri: Annotated[
        str,
        Field(
            max_length=512,
            pattern=_URI_PATTERN,
            description="Where the files are: builtin://NAME (in the worker image) or pvc://CLAIM/PATH (a volume "
            "claim in this namespace, mounted read-only).",
            json_schema_extra=rules(
                cel("!self.matches('/[.]{1,2}(/|$)')", "the path in model.uri must not have '.' or '..' as a part")
            ),
        ),
    ]


class Engine(Model):
    """How the model is run."""

    backend: Annotated[
        Backend,
        Field(description="ONNXRuntime runs the CPU engine (gpusPerReplica 0); TensorRTLLM runs on GPUs."),
    ] = Backend.ONNX_RUNTIME
    gpus_per_replica: Annotated[
        int, Field(ge=0, le=16, description="GPUs of one replica; 0 selects the CPU engine.")
    ] = 0
    max_sequence_tokens: Annotated[
        int, Field(ge=16, le=131072, description="Longest sequence (prompt and answer together), in tokens.")
    ] = 512


class Signal(Model):
    """One scaling input: what is measured, and how much of it one replica should carry."""

    type: Annotated[
        SignalType,
        Field(
            description="QueuedQueriesPerReplica: queries waiting in the gateway per replica. Concurrency: queries in "
            "flight or waiting per replica."
        ),
    ]
    target: Annotated[
        PositiveQuantity, Field(description="Value per replica that the pool is sized for, greater than 0.")
    ]


class ScalingPolicy(Model):
    """At most `value` pods or percent in any `periodSeconds`."""

    type: Annotated[PolicyType, Field(description="Pods or Percent.")]
    value: Annotated[int, Field(ge=1, le=10000, description="How many pods, or how many percent.")]
    period_seconds: Annotated[int, Field(ge=1, le=1800, description="The period that the value holds for, in seconds.")]


class ScalingRules(Model):
    """One direction of autoscaling/v2's behavior; what is absent takes autoscaling/v2's default."""

    stabilization_window_seconds: Annotated[
        int | None, Field(ge=0, le=3600, description="How long past recommendations are remembered, in seconds.")
    ] = None
    select_policy: Annotated[SelectPolicy | None, Field(description="Max (default), Min or Disabled.")] = None
    policies: Annotated[
        list[ScalingPolicy] | None,
        Field(
            min_length=1,
            max_length=10,
            description="Rate limits.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None
    tolerance: Annotated[
        Quantity | None, Field(description='Relative change that is ignored, such as "0.1" or "50m"; default 0.1.')
    ] = None


class Behavior(Model):
    """Scaling behaviour with the fields and semantics of autoscaling/v2."""

    scale_up: Annotated[ScalingRules | None, Field(description="Rules for growing.")] = None
    scale_down: Annotated[ScalingRules | None, Field(description="Rules for shrinking.")] = None


DEFAULT_SIGNALS: Final = [
    Signal(type=SignalType.QUEUED_QUERIES_PER_REPLICA, target="4"),
    Signal(type=SignalType.CONCURRENCY, target="6"),
]
DEFAULT_BEHAVIOR: Final = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    },
    "scaleDown": {
        "stabilizationWindowSeconds": 300,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 2, "periodSeconds": 60},
            {"type": "Percent", "value": 10, "periodSeconds": 60},
        ],
    },
}


class Scaling(Model):
    """Bounds and inputs of a pool's size."""

    min_replicas: Annotated[int, Field(ge=1, le=1000, description="Smallest size of the pool.")] = 1
    max_replicas: Annotated[int, Field(ge=1, le=1000, description="Largest size of the pool.")] = 1
    signals: Annotated[
        list[Signal],
        Field(
            min_length=1,
            max_length=8,
            description="What the size follows; the largest proposal wins.",
            json_schema_extra=list_map("type"),
        ),
    ] = DEFAULT_SIGNALS
    behavior: Annotated[Behavior, Field(description="autoscaling/v2 behavior: policies, stabilisation, tolerance.")] = (
        Behavior.model_validate(DEFAULT_BEHAVIOR)
    )

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas must not be greater than maxReplicas; raise maxReplicas or lower minReplicas",
                ".minReplicas",
            )
        )
    )

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas must not be greater than maxReplicas")
        return self


_KNOWN_RESOURCES: Final = rules(
    cel(
        "self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || k.startsWith('hugepages-') || k.contains('/'))",
        "unknown resource: use cpu, memory, ephemeral-storage, hugepages-SIZE or a vendor's name with a '/'",
    )
)


class Resources(Model):
    """Compute resources of one container, as in a pod; GPUs are asked for by engine.gpusPerReplica."""

    requests: Annotated[
        dict[str, Quantity] | None,
        Field(
            max_length=8,
            description="What is reserved, such as cpu: 250m and memory: 512Mi.",
            json_schema_extra=_KNOWN_RESOURCES,
        ),
    ] = None
    limits: Annotated[
        dict[str, Quantity] | None,
        Field(max_length=8, description="What must not be exceeded.", json_schema_extra=_KNOWN_RESOURCES),
    ] = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                f"!has(self.requests) || !('{names.GPU_RESOURCE}' in self.requests)",
                f"set engine.gpusPerReplica instead of requesting {names.GPU_RESOURCE}",
                ".requests",
            ),
            cel(
                f"!has(self.limits) || !('{names.GPU_RESOURCE}' in self.limits)",
                f"set engine.gpusPerReplica instead of limiting {names.GPU_RESOURCE}",
                ".limits",
            ),
            cel(
                "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || "
                "quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
                "a request must not be greater than its limit; raise the limit or lower the request",
                ".requests",
            ),
        )
    )


class TolerationOperator(StrEnum):
    """How a toleration matches a taint."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to a pod."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """A node taint that the pods accept."""

    key: Annotated[str | None, Field(max_length=316, description="Taint key; absent matches every key.")] = None
    operator: Annotated[TolerationOperator | None, Field(description="Exists or Equal.")] = None
    value: Annotated[str | None, Field(max_length=63, description="Taint value for operator Equal.")] = None
    effect: Annotated[TaintEffect | None, Field(description="Taint effect; absent matches every effect.")] = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.value) || !has(self.operator) || self.operator != 'Exists'",
                "a toleration with operator Exists has no value: remove value, or use operator Equal",
                ".value",
            ),
            cel(
                "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
                "a toleration without key needs operator Exists",
                ".operator",
            ),
        )
    )


_QUALIFIED_KEYS: Final = rules(
    cel(
        "self.all(k, k.size() <= 317 && "
        "k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        "a key must be NAME or DOMAIN/NAME, such as example.com/owner",
    )
)
_LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_DNS_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class PodTemplate(Model):
    """The safe part of a pod template that a user may set."""

    image: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^\S+$",
            description="Container image instead of the operator's default.",
        ),
    ] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=1024)]] | None,
        Field(max_length=32, description="Annotations of the pods.", json_schema_extra=_QUALIFIED_KEYS),
    ] = None
    node_selector: Annotated[
        dict[str, Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]] | None,
        Field(max_length=16, description="Node labels that the pods need.", json_schema_extra=_QUALIFIED_KEYS),
    ] = None
    tolerations: Annotated[
        list[Toleration] | None,
        Field(
            max_length=16,
            description="Node taints that the pods accept.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None
    priority_class_name: Annotated[
        str | None, Field(max_length=253, pattern=_DNS_NAME, description="PriorityClass of the pods.")
    ] = None
    resources: Annotated[Resources | None, Field(description="Compute resources of the container.")] = None


_POOL_RULES: Final = rules(
    cel(
        "self.engine.backend != 'TensorRTLLM' || self.engine.gpusPerReplica >= 1",
        "TensorRTLLM needs a GPU: set engine.gpusPerReplica to 1 or more, "
        "or use backend ONNXRuntime for the CPU engine",
        ".engine",
    ),
    cel(
        "self.engine.backend != 'ONNXRuntime' || self.engine.gpusPerReplica == 0",
        "ONNXRuntime is the CPU engine: set engine.gpusPerReplica to 0, or use backend TensorRTLLM",
        ".engine",
    ),
    cel(
        "self.engine.backend != 'TensorRTLLM' || !self.model.uri.startsWith('builtin://')",
        "TensorRTLLM needs an engine that was built for its GPU: set model.uri to pvc://CLAIM/PATH",
        ".model",
    ),
)


class Pool(Model):
    """A group of equal replicas that serve one class with one model."""

    name: Annotated[str, Field(min_length=1, max_length=20, pattern=_DNS_LABEL, description="Name of the pool.")]
    serves: Annotated[QueryClass, Field(description="Simple or Complex: the class of queries that this pool answers.")]
    weight: Annotated[
        int, Field(ge=1, le=100, description="Share of the class when several pools serve it (weighted round robin).")
    ] = 1
    model: Annotated[ModelSource, Field(description="The model and where its files are.")]
    engine: Annotated[Engine, Field(description="How the model is run.")] = Engine()
    concurrency_per_replica: Annotated[
        int,
        Field(ge=1, le=1024, description="Queries that one replica works on at once; the rest wait in the gateway."),
    ] = 8
    drain_seconds: Annotated[
        int,
        Field(ge=0, le=3600, description="How long a replica that goes may finish what it has accepted, in seconds."),
    ] = 300
    scaling: Annotated[Scaling, Field(description="Bounds and inputs of the pool's size.")] = Scaling()
    template: Annotated[PodTemplate, Field(description="Settings of the worker pods.")] = PodTemplate()

    model_config = ConfigDict(json_schema_extra=_POOL_RULES)


_TAKEN_HEADERS: Final = [
    "accept",
    "authorization",
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "transfer-encoding",
    "upgrade",
    names.HEADER_REQUEST_ID,
    names.HEADER_TRACEPARENT,
]


class Routing(Model):
    """How a query's class is found."""

    override_header: Annotated[
        str,
        Field(
            min_length=1,
            max_length=64,
            pattern=r"^[A-Za-z0-9-]+$",
            description="Request header that names the class (Simple or Complex) instead of the classifier.",
            json_schema_extra=rules(
                cel(
                    f"!(self.lowerAscii() in {_TAKEN_HEADERS})",
                    "this header has a meaning of its own: choose another overrideHeader, such as X-AutoGLM-Class",
                )
            ),
        ),
    ] = "X-AutoGLM-Class"


class MaxWaitSeconds(Model):
    """Longest wait in the gateway's queue per tier, in seconds."""

    normal: Annotated[int, Field(ge=1, le=3600, alias="Normal", description="Longest wait of a query, in seconds.")] = (
        60
    )


class Queue(Model):
    """The gateway's queue before the pools."""

    max_queries: Annotated[
        int,
        Field(
            ge=0, le=100000, description="Queries that may wait per pool and gateway; more get 429 with Retry-After."
        ),
    ] = 1000
    max_wait_seconds: Annotated[MaxWaitSeconds, Field(description="Longest wait in the queue; then 504.")] = (
        MaxWaitSeconds()
    )


class GatewayLimits(Model):
    """Bounds of what a client may send."""

    max_body_bytes: Annotated[
        int, Field(ge=1024, le=1073741824, description="Largest request body in bytes; a larger one gets 413.")
    ] = 4194304


class Gateway(Model):
    """The front door of the service."""

    replicas: Annotated[int, Field(ge=1, le=32, description="Number of gateway pods.")] = 2
    limits: Annotated[GatewayLimits, Field(description="Bounds of what a client may send.")] = GatewayLimits()
    template: Annotated[PodTemplate, Field(description="Settings of the gateway pods.")] = PodTemplate()


_SPEC_RULES: Final = rules(
    cel(
        "self.pools.exists(p, p.serves == 'Simple')",
        "no pool serves Simple: add a pool with serves: Simple",
        ".pools",
    ),
    cel(
        "self.pools.exists(p, p.serves == 'Complex')",
        "no pool serves Complex: add a pool with serves: Complex",
        ".pools",
    ),
    cel(
        "self.pools.all(p, self.pools.exists_one(q, q.model.name == p.model.name))",
        "two pools have the same model.name: a model name pins its pool, so give each pool's model its own name",
        ".pools",
    ),
)


class Spec(Model):
    """A whole language-model service: pools, who gets which query, what waits."""

    paused: Annotated[bool, Field(description="Stop changing anything: no repair, no scaling, no rollout.")] = False
    pools: Annotated[
        list[Pool],
        Field(min_length=1, max_length=8, description="The pools of workers.", json_schema_extra=list_map("name")),
    ]
    routing: Annotated[Routing, Field(description="How a query's class is found.")] = Routing()
    queue: Annotated[Queue, Field(description="The gateway's queue before the pools.")] = Queue()
    gateway: Annotated[Gateway, Field(description="The front door of the service.")] = Gateway()

    model_config = ConfigDict(json_schema_extra=_SPEC_RULES)

    def pool(self, name: str) -> Pool:
        """Return the pool of that name; raises KeyError."""
        for pool in self.pools:
            if pool.name == name:
                return pool
        raise KeyError(name)


def parse_spec(body: dict[str, Any]) -> Spec:
    """Parse `spec` of a stored object; unknown or wrong fields raise pydantic's ValidationError."""
    return Spec.model_validate(body)
