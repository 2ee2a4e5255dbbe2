"""`scaling` of a pool: bounds, signals and autoscaling/v2's behaviour. Import it from `autoglm_api.spec`."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from autoglm_api.schema import Model, PositiveQuantity, Quantity, cel, list_map, rules


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
