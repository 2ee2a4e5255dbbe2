"""`status` of an AutoGLMDeployment, and the conditions' vocabulary."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from autoglm_api.schema import Model, list_map


class ConditionStatus(StrEnum):
    """The three values of a condition."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """Conditions of the deployment and of its pools."""

    READY = "Ready"
    PROGRESSING = "Progressing"
    DEGRADED = "Degraded"
    GATEWAY_READY = "GatewayReady"
    PAUSED = "Paused"
    METRICS_AVAILABLE = "MetricsAvailable"
    SCALING_ACTIVE = "ScalingActive"
    SCALING_LIMITED = "ScalingLimited"
    SCALING_CONFLICT = "ScalingConflict"


class Reason(StrEnum):
    """Machine-readable reasons; messages carry the evidence."""

    AVAILABLE = "Available"
    POOL_NOT_READY = "PoolNotReady"
    GATEWAY_NOT_READY = "GatewayNotReady"
    NAME_CONFLICT = "NameConflict"
    INVALID_SPEC = "InvalidSpec"
    API_REFUSED = "APIRefused"
    PAUSED = "Paused"
    NOT_PAUSED = "NotPaused"
    STABLE = "Stable"
    STARTING = "Starting"
    ROLLING_OUT = "RollingOut"
    SCALING = "Scaling"
    IMAGE_PULL = "ImagePullFailed"
    CANNOT_START = "ContainerCannotStart"
    CRASH_LOOP = "CrashLoop"
    OUT_OF_MEMORY = "OutOfMemory"
    UNSCHEDULABLE = "Unschedulable"
    MODEL_LOAD = "ModelLoadFailed"
    AS_EXPECTED = "AsExpected"
    METRICS_FRESH = "MetricsFresh"
    METRICS_MISSING = "MetricsMissing"
    DESIRED_WITHIN_RANGE = "DesiredWithinRange"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    TOO_MANY_REPLICAS = "TooManyReplicas"
    SCALE_UP_LIMIT = "ScaleUpLimit"
    SCALE_DOWN_LIMIT = "ScaleDownLimit"
    SCALE_DOWN_STABILIZED = "ScaleDownStabilized"
    SCALE_UP_STABILIZED = "ScaleUpStabilized"
    METRICS_STALE = "MetricsStale"
    METRICS_FALLBACK = "MetricsFallback"
    PANIC = "Panic"
    SCHEDULED = "Scheduled"
    FORECAST = "Forecast"
    CONSOLIDATION = "ConsolidationUnsafe"
    CAPACITY_UNCERTAIN = "CapacityUncertain"
    GROWTH_FUTILE = "GrowthFutile"
    SCALED_TO_ZERO = "ScaledToZero"
    MANUAL_ZERO = "ManualZero"
    WOKEN = "Woken"
    GPU_BUDGET = "GPUBudget"
    WHOLE_NODES = "WholeNodes"
    INSUFFICIENT_GPU = "InsufficientGPU"
    QUOTA = "QuotaExceeded"
    EXTERNAL = "External"
    ADVISORY = "Advisory"
    SCALING_CONFLICT = "ScalingConflict"
    NO_CONFLICT = "NoConflict"


CONDITION_REASON_PATTERN: Final = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"


class Condition(Model):
    """One condition as in KEP-1623; lastTransitionTime changes only when status changes."""

    type: Annotated[str, Field(max_length=316, description="Type of the condition.")]
    status: Annotated[ConditionStatus, Field(description="True, False or Unknown.")]
    reason: Annotated[
        str, Field(min_length=1, max_length=1024, pattern=CONDITION_REASON_PATTERN, description="Why, as one word.")
    ]
    message: Annotated[str, Field(max_length=32768, description="Why, in a sentence.")]
    last_transition_time: Annotated[
        str,
        Field(max_length=40, description="When the status last changed.", json_schema_extra={"format": "date-time"}),
    ]
    observed_generation: Annotated[
        int | None, Field(ge=0, description="metadata.generation that the condition was set for.")
    ] = None


class SignalReport(Model):
    """What one signal said in a decision."""

    signal: Annotated[str, Field(max_length=100, description="Type of the signal, with its name if it has one.")]
    value: Annotated[
        str, Field(max_length=40, description="What was measured, as a decimal number; empty: nothing.")
    ] = ""
    target: Annotated[str, Field(max_length=40, description="What one replica should carry, in the same unit.")] = ""
    proposal: Annotated[int | None, Field(ge=0, description="Size that the signal asks for.")] = None
    freshness: Annotated[
        str, Field(max_length=64, description="Fresh, or why the value is old, partial or absent.")
    ] = ""
    source: Annotated[
        str,
        Field(
            max_length=64,
            description="Where the value comes from: Prometheus, the gateways themselves, the replicas themselves, "
            "memory (the last complete value), the spec.",
        ),
    ] = ""


class Decision(Model):
    """The last scaling decision that changed size, reason or winner."""

    replicas: Annotated[int, Field(ge=0, description="Size that was decided.")]
    reason: Annotated[str, Field(max_length=1024, description="Why this size and no other.")]
    winner: Annotated[str | None, Field(max_length=64, description="Signal whose proposal won.")] = None
    message: Annotated[str, Field(max_length=4096, description="The figures behind it.")] = ""
    limited: Annotated[str | None, Field(max_length=64, description="What kept the size from the proposal.")] = None
    signals: Annotated[
        list[SignalReport] | None,
        Field(
            max_length=20, description="What each signal said.", json_schema_extra={"x-kubernetes-list-type": "atomic"}
        ),
    ] = None
    time: Annotated[str, Field(max_length=40, description="When.", json_schema_extra={"format": "date-time"})]


class PoolStatus(Model):
    """What one pool is now."""

    name: Annotated[str, Field(max_length=63, description="Name of the pool.")]
    revision: Annotated[
        str | None, Field(max_length=63, description="Revision that serves or is being rolled out.")
    ] = None
    replicas: Annotated[int, Field(ge=0, description="Worker pods that exist, over all revisions.")] = 0
    ready_replicas: Annotated[int, Field(ge=0, description="Worker pods that answer.")] = 0
    desired_replicas: Annotated[int, Field(ge=0, description="Worker pods that should exist.")] = 0
    summary: Annotated[str | None, Field(max_length=32, description="ready/desired, for the printer columns.")] = None
    conditions: Annotated[
        list[Condition] | None,
        Field(max_length=16, description="The pool's conditions.", json_schema_extra=list_map("type")),
    ] = None
    last_decision: Annotated[
        Decision | None, Field(description="The last scaling decision that changed something.")
    ] = None


class Status(Model):
    """What the service is now; written by the operator only."""

    observed_generation: Annotated[
        int | None, Field(ge=0, description="metadata.generation that was last acted on.")
    ] = None
    url: Annotated[str | None, Field(max_length=2048, description="Address of the gateway inside the cluster.")] = None
    light: Annotated[
        str | None, Field(max_length=32, description="Ready/desired replicas of the pools that serve Simple.")
    ] = None
    large: Annotated[
        str | None, Field(max_length=32, description="Ready/desired replicas of the pools that serve Complex.")
    ] = None
    conditions: Annotated[
        list[Condition] | None,
        Field(max_length=16, description="The service's conditions.", json_schema_extra=list_map("type")),
    ] = None
    pools: Annotated[
        list[PoolStatus] | None, Field(max_length=16, description="The pools.", json_schema_extra=list_map("name"))
    ] = None
