"""`spec.queue`: who waits how long and who is next. Part of `spec`, and as it is of the gateway's configuration."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from autoglm_api import names
from autoglm_api.keys import Tier
from autoglm_api.schema import Model, cel, list_map, rules

_DNS_LABEL: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"


class TierPolicy(StrEnum):
    """Who is next between tiers."""

    STRICT = "Strict"
    WEIGHTED_ROUND_ROBIN = "WeightedRoundRobin"


class Order(StrEnum):
    """Who is next within a tier."""

    SHORTEST_REMAINING = "ShortestRemaining"
    FAIR = "Fair"
    ARRIVAL = "Arrival"


class TaskType(Model):
    """A kind of work that clients name."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=_DNS_LABEL,
            description=f"The value of the request header {names.HEADER_TASK}.",
        ),
    ]
    coefficient: Annotated[
        int,
        Field(
            ge=1,
            le=1000,
            description="With tiers WeightedRoundRobin: the type's share is this in the sum of all types that wait.",
        ),
    ] = 1
    tier: Annotated[
        Tier, Field(description="The tier of such queries, where the client names none and its key allows it.")
    ] = Tier.NORMAL
    jump_seconds: Annotated[
        int,
        Field(
            ge=0,
            le=3600,
            description="Such a query counts as having arrived so much earlier; not with order Fair.",
        ),
    ] = 0


class MaxWaitSeconds(Model):
    """Longest wait in each tier of the gateway's queue, in seconds."""

    urgent: Annotated[
        int, Field(ge=0, le=3600, alias="Urgent", description="Longest wait in this tier, in seconds; then 504.")
    ] = 5
    interactive: Annotated[
        int, Field(ge=0, le=3600, alias="Interactive", description="Longest wait in this tier; then it is Urgent.")
    ] = 30
    normal: Annotated[
        int, Field(ge=0, le=3600, alias="Normal", description="Longest wait in this tier; then it is Interactive.")
    ] = 60
    batch: Annotated[
        int, Field(ge=0, le=86400, alias="Batch", description="Longest wait in this tier; then it is Normal.")
    ] = 3600

    def of(self, tier: Tier) -> int:
        """Return the longest wait in a tier."""
        return {
            Tier.URGENT: self.urgent,
            Tier.INTERACTIVE: self.interactive,
            Tier.NORMAL: self.normal,
            Tier.BATCH: self.batch,
        }[tier]


_QUEUE_RULES: Final = rules(
    cel(
        "self.tiers != 'WeightedRoundRobin' || size(self.taskTypes) > 0",
        "WeightedRoundRobin shares by task type: give queue.taskTypes, or use tiers: Strict",
    )
)


class Queue(Model):
    """The gateway's queue before the pools."""

    tiers: Annotated[
        TierPolicy,
        Field(
            description="Strict: the most urgent tier first, but for the share of Batch. WeightedRoundRobin: taskTypes "
            "share the replicas by their coefficients."
        ),
    ] = TierPolicy.STRICT
    task_types: Annotated[
        list[TaskType],
        Field(
            default_factory=list,
            max_length=16,
            description="Kinds of work. With WeightedRoundRobin a query of no known type counts as the first one.",
            json_schema_extra=list_map("name"),
        ),
    ]
    order: Annotated[
        Order,
        Field(
            description="Within a tier. Arrival: who came first. ShortestRemaining: the fewest predicted tokens, "
            "ageing with the wait. Fair: the tenant that was served the fewest tokens."
        ),
    ] = Order.ARRIVAL
    max_queries: Annotated[
        int,
        Field(
            ge=0, le=100000, description="Queries that may wait per pool and gateway; more get 429 with Retry-After."
        ),
    ] = 1000
    max_wait_seconds: Annotated[
        MaxWaitSeconds,
        Field(description="Longest wait per tier, in seconds; then one tier up, and 504 after the last one."),
    ] = MaxWaitSeconds()
    batch_reserve_percent: Annotated[
        int, Field(ge=0, le=50, description="With tiers Strict: turns in a hundred that Batch gets while it waits.")
    ] = 5
    urgent_reserve_percent: Annotated[
        int,
        Field(
            ge=0,
            le=50,
            description="Slots in a hundred that stay free for Urgent, for ten minutes after each Urgent query; "
            "at least one, of two or three slots for one minute. 0: none.",
        ),
    ] = 10
    prefix_affinity: Annotated[
        bool,
        Field(
            description="Send queries of one tenant with the same system prompt to the same replica while its load is "
            "at most 125 % of the mean: for engines that keep prefixes."
        ),
    ] = False

    model_config = ConfigDict(json_schema_extra=_QUEUE_RULES)

    def longest_wait(self, tier: Tier) -> int:
        """Return the seconds after which a query of a tier has waited too long, promotions counted."""
        wait = self.max_wait_seconds.of(tier)
        above = tier.above
        if above is None or (self.tiers is TierPolicy.WEIGHTED_ROUND_ROBIN and self.task_types):
            return wait
        return wait + self.longest_wait(above)

    def task(self, name: str | None) -> TaskType | None:
        """Return the task type of that name, or None."""
        return next((one for one in self.task_types if one.name == name), None)
