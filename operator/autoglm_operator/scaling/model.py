"""What the scaling engine and the rest of the operator say to each other."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from autoglm_api.spec import Mode, QueryClass, Scaling
from autoglm_api.status import Reason
from autoglm_operator.scaling.readings import NoData, Problem, Reading
from autoglm_operator.scaling.room import Placement, Room

NOT_READ: Final = NoData(Problem.MISSING, "no series")


@dataclass(frozen=True, slots=True)
class Load:
    """A pool's load as its sources report it; every figure in thousandths of its unit.

    "Tokens" are prompt tokens (estimated) and output tokens (predicted, or seen) together, in the gateway's estimate.
    """

    queued: Reading
    """Queries that wait in the gateways."""
    in_flight: Reading
    """Queries that replicas work on."""
    queued_tokens: Reading = NOT_READ
    """Tokens of the queries that wait."""
    offered_tokens: Reading = NOT_READ
    """Tokens/s that arrive for the pool's class by the raw score, times the pool's share of its class: long window."""
    offered_tokens_now: Reading = NOT_READ
    """The same over the shortest window that the scrape interval allows."""
    served_tokens: Reading = NOT_READ
    """Tokens/s that the pool's replicas finish."""
    signals: Mapping[str, Reading] = field(default_factory=dict)
    """Every further signal's reading by `Signal.key`: percent for shares (0-100), milliseconds for latencies (p95),
    the sum over the pool for own queries and lags; shares are the 90th percentile over the replicas."""


@dataclass(frozen=True, slots=True)
class PoolSnapshot:
    """One pool at one moment: all that a decision may see."""

    current: int
    """Replicas asked for now (spec.replicas), without the pods of a surge."""
    ready: int
    """Replicas that answer, over all revisions."""
    rolling_out: bool
    """True while pods of more than one revision exist."""
    load: Load
    concurrency: int = 0
    """Queries that one replica works on at once; 0: unknown."""
    unschedulable: int = 0
    """Replicas that wait for room in the cluster."""
    unschedulable_seconds: float = 0.0
    """How long the oldest of them has waited."""
    no_room: Reason = Reason.INSUFFICIENT_GPU
    """What keeps them from a place: no node has room, a quota, another refusal."""
    room: Room | None = None
    """What the nodes have room for; None: not known, or of no matter."""
    became_ready: tuple[float, ...] = ()
    """Start-up times in seconds of the replicas that have become ready since the last snapshot."""


@dataclass(frozen=True, slots=True)
class PoolTarget:
    """One pool as the reconciler last saw it: the input of a scaling decision."""

    scaling: Scaling
    current: int
    """Replicas asked for now (spec.replicas over all revisions), never the pods of a surge."""
    ready: int
    """Replicas that answer, over all revisions."""
    rolling_out: bool
    """True while pods of more than one revision exist."""
    serves: QueryClass = QueryClass.SIMPLE
    weight: int = 1
    """Share of the class among the pools that serve it."""
    concurrency: int = 0
    gpus_per_replica: int = 0
    unschedulable: int = 0
    unschedulable_seconds: float = 0.0
    no_room: Reason = Reason.INSUFFICIENT_GPU
    placement: Placement = Placement(0)  # noqa: RUF009 - immutable
    """On which nodes its replicas may run."""
    room: Room | None = None
    became_ready: tuple[float, ...] = ()
    gpu_budget: int | None = None
    """GPUs that all pools of the deployment may take together; None: any number."""
    gpus_elsewhere: int = 0
    """GPUs of that budget that pools hold which are not decided at the same time."""
    conflict: str = ""
    """Who else writes the pool's size (an HPA or a ScaledObject), in words; empty: nobody."""
    external_replicas: int | None = None
    """spec.replicas of the pool's AutoGLMPoolScale, in mode External."""

    @property
    def mode(self) -> Mode:
        """The mode in force: a conflict leaves only advice."""
        return Mode.ADVISORY if self.conflict else self.scaling.mode

    def snapshot(self, load: Load) -> PoolSnapshot:
        """Return the pool with its load: all that a decision may see."""
        return PoolSnapshot(
            current=self.current,
            ready=self.ready,
            rolling_out=self.rolling_out,
            load=load,
            concurrency=self.concurrency,
            unschedulable=self.unschedulable,
            unschedulable_seconds=self.unschedulable_seconds,
            no_room=self.no_room,
            room=self.room,
            became_ready=self.became_ready,
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one signal said: the row of the table that `autoglm explain` prints."""

    signal: str
    """`Signal.key`, or the name of a floor: Schedule, Forecast, Panic."""
    value: str
    """Measured value as a decimal number; empty when there is none."""
    target: str
    proposal: int | None
    freshness: str
    """Fresh, or the problem."""
    source: str = ""
    """Where the value comes from: Prometheus, the gateways or the replicas themselves, memory, the spec."""


@dataclass(frozen=True, slots=True)
class PoolDecision:
    """The size that a pool should have, and why."""

    replicas: int
    reason: Reason
    """Why this size and no other: DesiredWithinRange, or what changed or held the size."""
    winner: str | None
    """Key of the signal whose proposal won; None when no proposal was used."""
    message: str
    """The figures, in a sentence."""
    metrics_available: bool
    """False when any signal has no usable data: condition MetricsAvailable."""
    limited: Reason | None
    """What kept the size from the proposal: condition ScalingLimited; None when nothing did."""
    at: datetime
    proposals: tuple[Proposal, ...] = ()
    advisory: bool = False
    """True when the size is advice: reported and exported, never written."""
