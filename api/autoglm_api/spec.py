"""`spec` of an AutoGLMDeployment: the only definition; the CRD is generated from it.

A field is here only when code honours it. Descriptions are what `kubectl explain` shows.
"""

from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from autoglm_api.cache import Cache, RedisCache, SecretKeyRef
from autoglm_api.engine import Backend, Batching, Bucket, Engine, EngineMemory, Precision
from autoglm_api.gateway import AccessLog, Gateway, GatewayLimits, Tls
from autoglm_api.keys import Auth, SecretRef, Tier
from autoglm_api.model import ModelKind, ModelSource
from autoglm_api.pod import PodTemplate, Resources, TaintEffect, Toleration, TolerationOperator
from autoglm_api.queue import MaxWaitSeconds, Order, Queue, TaskType, TierPolicy
from autoglm_api.routing import QueryClass, Routing, Rule, RuleMatch, Threshold, WeightsRef
from autoglm_api.scaling import (
    DEFAULT_BEHAVIOR,
    DEFAULT_SIGNALS,
    Behavior,
    Fallback,
    FallbackBehavior,
    Forecast,
    Granularity,
    Mode,
    Panic,
    PolicyType,
    Scaling,
    ScalingPolicy,
    ScalingRules,
    Schedule,
    SelectPolicy,
    Weekday,
    Zero,
)
from autoglm_api.schema import Model, cel, list_map, rules
from autoglm_api.signals import MemorySource, Signal, SignalType

# The one door to every part of the resource.
__all__ = [
    "DEFAULT_BEHAVIOR",
    "DEFAULT_SIGNALS",
    "AccessLog",
    "Auth",
    "Backend",
    "Batching",
    "Behavior",
    "Bucket",
    "Cache",
    "Engine",
    "EngineMemory",
    "Fallback",
    "FallbackBehavior",
    "Forecast",
    "Gateway",
    "GatewayLimits",
    "Granularity",
    "MaxWaitSeconds",
    "MemorySource",
    "Mode",
    "ModelKind",
    "ModelSource",
    "Order",
    "Panic",
    "PodTemplate",
    "PolicyType",
    "Pool",
    "Precision",
    "QueryClass",
    "Queue",
    "RedisCache",
    "Resources",
    "Routing",
    "Rule",
    "RuleMatch",
    "Scaling",
    "ScalingPolicy",
    "ScalingRules",
    "Schedule",
    "SecretKeyRef",
    "SecretRef",
    "SelectPolicy",
    "Signal",
    "SignalType",
    "Spec",
    "TaintEffect",
    "TaskType",
    "Threshold",
    "Tier",
    "TierPolicy",
    "Tls",
    "Toleration",
    "TolerationOperator",
    "Weekday",
    "WeightsRef",
    "Zero",
    "parse_spec",
]

_DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

_POOL_RULES: Final = rules(
    cel(
        "(self.model.kind == 'Embedding') == (self.serves == 'Embedding')",
        "a pool whose model.kind is Embedding has serves: Embedding, and only such a pool",
        ".serves",
    ),
    cel(
        "self.engine.backend != 'PyTorch' || self.model.kind == 'Generative'",
        "PyTorch serves Generative models only; use ONNXRuntime",
        ".engine",
    ),
    cel(
        "self.engine.backend != 'TensorRT' || self.model.kind == 'Embedding'",
        "TensorRT serves Embedding models only; use TensorRTLLM",
        ".engine",
    ),
    cel(
        "self.engine.backend != 'TensorRTLLM' || self.model.kind == 'Generative'",
        "TensorRTLLM serves Generative models only; use TensorRT",
        ".engine",
    ),
    cel(
        "self.engine.backend != 'TensorRT' || self.engine.gpusPerReplica >= 1",
        "TensorRT needs a GPU: set engine.gpusPerReplica to 1 or more, or use backend ONNXRuntime for the CPU engine",
        ".engine",
    ),
    cel(
        "self.engine.backend != 'TensorRT' || !self.model.uri.startsWith('builtin://')",
        "TensorRT needs an engine that was built for its GPU: set model.uri to pvc://CLAIM/PATH",
        ".model",
    ),
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
    serves: Annotated[
        QueryClass,
        Field(description="Simple, Complex or Embedding: the class of queries that this pool answers."),
    ]
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
    gpu_budget: Annotated[
        int | None,
        Field(ge=1, le=10000, description="GPUs that all pools together may take; large pools come first."),
    ] = None
    routing: Annotated[Routing, Field(description="How a query's class is found.")] = Routing()
    queue: Annotated[Queue, Field(description="The gateway's queue before the pools.")] = Queue()
    cache: Annotated[
        Cache | None,
        Field(description="Keep answers to repeated queries with temperature 0, per tenant. Default: none are kept."),
    ] = None
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
