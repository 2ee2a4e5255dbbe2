"""`scaling` of a pool: bounds, signals and autoscaling/v2's behaviour. Import it from `autoglm_api.spec`."""

from enum import StrEnum
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, model_validator

from autoglm_api.schema import Model, Quantity, cel, list_map, rules
from autoglm_api.signals import Signal, SignalType


class SelectPolicy(StrEnum):
    """Which of several scaling policies counts, as in autoscaling/v2."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class PolicyType(StrEnum):
    """The unit of a scaling policy, as in autoscaling/v2."""

    PODS = "Pods"
    PERCENT = "Percent"


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
    Signal(type=SignalType.TOKEN_DEMAND),
    Signal(type=SignalType.CONCURRENCY),
]
"""What a replica can do is learned, and until then the slots in use decide: nothing to set."""
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


class Mode(StrEnum):
    """Who decides a pool's size."""

    INTERNAL = "Internal"
    EXTERNAL = "External"
    ADVISORY = "Advisory"


class Weekday(StrEnum):
    """Days of the week, as they are written in a schedule."""

    MONDAY = "Mon"
    TUESDAY = "Tue"
    WEDNESDAY = "Wed"
    THURSDAY = "Thu"
    FRIDAY = "Fri"
    SATURDAY = "Sat"
    SUNDAY = "Sun"


class FallbackBehavior(StrEnum):
    """What happens to the size when a pool's metrics are missing for long."""

    STATIC = "Static"
    CURRENT = "Current"
    CURRENT_IF_HIGHER = "CurrentIfHigher"
    CURRENT_IF_LOWER = "CurrentIfLower"


class Forecast(StrEnum):
    """Whether the past may raise the floor."""

    DISABLED = "Disabled"
    GATED = "Gated"


class Granularity(StrEnum):
    """In what steps a pool is sized."""

    REPLICA = "Replica"
    NODE = "Node"


class Panic(StrEnum):
    """Whether a burst may pass the scaleUp stabilisation and rates."""

    ENABLED = "Enabled"
    DISABLED = "Disabled"


_TIME: Final = r"^([01][0-9]|2[0-3]):[0-5][0-9]$"
_DATE: Final = r"^([0-9]{4}-)?(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"


class Schedule(Model):
    """Bounds that hold in a window of time; a window that ends before it starts ends on the next day."""

    name: Annotated[
        str, Field(min_length=1, max_length=40, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", description="Its name.")
    ]
    time_zone: Annotated[
        str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_+/-]+$", description="IANA time zone.")
    ] = "UTC"
    days: Annotated[
        list[Weekday] | None,
        Field(
            min_length=1,
            max_length=7,
            description="Days of the week on which the window starts; default: every day.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = None
    dates: Annotated[
        list[Annotated[str, Field(pattern=_DATE, max_length=10)]] | None,
        Field(
            min_length=1,
            max_length=64,
            description="Dates on which the window starts, as MM-DD (every year) or YYYY-MM-DD; instead of days.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = None
    start: Annotated[str, Field(pattern=_TIME, max_length=5, description="Start of the window, HH:MM.")]
    end: Annotated[str, Field(pattern=_TIME, max_length=5, description="End of the window, HH:MM, exclusive.")]
    min_replicas: Annotated[int, Field(ge=0, le=1000, description="Smallest size in the window.")]
    max_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Largest size in the window.")] = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel("self.start != self.end", "a schedule must not start and end at the same time", ".end"),
            cel("!has(self.days) || !has(self.dates)", "give days or dates of a schedule, not both", ".dates"),
            cel(
                "!has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                "minReplicas of a schedule must not be greater than its maxReplicas",
                ".minReplicas",
            ),
        )
    )


class Fallback(Model):
    """What a pool's size becomes when its metrics are missing for long."""

    after_seconds: Annotated[
        int, Field(ge=60, le=86400, description="How long every metric must be missing; until then the size is held.")
    ] = 300
    behavior: Annotated[
        FallbackBehavior,
        Field(
            description="Static: `replicas`. Current: as it is. CurrentIfHigher (default): as it is, or `replicas` if "
            "that is more. CurrentIfLower: as it is, or `replicas` if that is less."
        ),
    ] = FallbackBehavior.CURRENT_IF_HIGHER
    replicas: Annotated[int | None, Field(ge=0, le=1000, description="Size to fall back to; default minReplicas.")] = (
        None
    )


class Zero(Model):
    """When a pool with minReplicas 0 sleeps and how it wakes."""

    idle_seconds: Annotated[
        int, Field(ge=30, le=86400, description="How long nothing must arrive before the last replica goes.")
    ] = 600
    activation_replicas: Annotated[int, Field(ge=1, le=1000, description="Size at which the pool wakes.")] = 1


class Scaling(Model):
    """Bounds and inputs of a pool's size."""

    mode: Annotated[
        Mode,
        Field(
            description="Internal: the operator decides. External: an HPA, KEDA or `kubectl scale` writes the pool's "
            "AutoGLMPoolScale. Advisory: the operator decides, reports and writes nothing."
        ),
    ] = Mode.INTERNAL
    min_replicas: Annotated[
        int, Field(ge=0, le=1000, description="Smallest size of the pool; 0 lets an idle pool sleep.")
    ] = 1
    max_replicas: Annotated[int, Field(ge=1, le=1000, description="Largest size of the pool.")] = 1
    signals: Annotated[
        list[Signal],
        Field(
            min_length=1,
            max_length=16,
            description="What the size follows; the largest proposal wins.",
            json_schema_extra=list_map("type", "name"),
        ),
    ] = DEFAULT_SIGNALS
    behavior: Annotated[Behavior, Field(description="autoscaling/v2 behavior: policies, stabilisation, tolerance.")] = (
        Behavior.model_validate(DEFAULT_BEHAVIOR)
    )
    startup_seconds: Annotated[
        int,
        Field(ge=1, le=3600, description="Seconds from a new replica to its readiness, until that is learned."),
    ] = 120
    panic: Annotated[Panic, Field(description="Whether a burst passes stabilisation and rates (never the bounds).")] = (
        Panic.ENABLED
    )
    forecast: Annotated[
        Forecast,
        Field(description="Gated: the past raises the floor while its forecasts prove right. Disabled: never."),
    ] = Forecast.GATED
    granularity: Annotated[
        Granularity,
        Field(
            description="Replica: any size. Node: what does not fit on the nodes that are there is rounded up to whole "
            "nodes of the pool's node group, and the pool shrinks by whole nodes."
        ),
    ] = Granularity.REPLICA
    schedules: Annotated[
        list[Schedule] | None,
        Field(max_length=32, description="Bounds that hold in windows of time.", json_schema_extra=list_map("name")),
    ] = None
    fallback: Annotated[Fallback, Field(description="What happens when metrics are missing for long.")] = Fallback()
    zero: Annotated[Zero, Field(description="When a pool with minReplicas 0 sleeps and how it wakes.")] = Zero()

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "self.minReplicas <= self.maxReplicas",
                "minReplicas must not be greater than maxReplicas; raise maxReplicas or lower minReplicas",
                ".minReplicas",
            ),
            cel(
                "self.zero.activationReplicas <= self.maxReplicas",
                "zero.activationReplicas must not be greater than maxReplicas",
                ".zero.activationReplicas",
            ),
        )
    )

    @model_validator(mode="after")
    def _bounds_agree(self) -> Self:
        if self.min_replicas > self.max_replicas:
            raise ValueError("minReplicas must not be greater than maxReplicas")
        return self
