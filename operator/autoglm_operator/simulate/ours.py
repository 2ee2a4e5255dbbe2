"""Our own engine as a policy of the simulator: the real `decide`, fed with what a scrape would have told.

Signals that the simulated world cannot measure (KVCacheUse, GPUMemory, Prometheus, KafkaLag, and latencies in the fluid
model) are left out, as if they were not configured: missing data would hold the pool for the whole run. A TokenDemand
without a target takes the profile's capacity.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from autoglm_api.spec import Scaling, Signal, SignalType
from autoglm_api.status import Reason
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import Load, PoolDecision, PoolSnapshot
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from autoglm_operator.simulate.policies import Sizing
from autoglm_operator.simulate.policy import View

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""The moment that second 0 of every trace stands for."""
_NOTHING: Final = NoData(Problem.MISSING, "the simulated metrics are out")
_COUNTED: Final = frozenset(
    {
        SignalType.TOKEN_DEMAND,
        SignalType.QUEUED_QUERIES_PER_REPLICA,
        SignalType.CONCURRENCY,
        SignalType.GPU_UTILIZATION,
        SignalType.FIRST_TOKEN_LATENCY,
        SignalType.PER_TOKEN_LATENCY,
    }
)


@dataclass(slots=True)
class Ours:
    """The engine with its memory."""

    scaling: Scaling
    concurrency: int
    tick_seconds: float
    name: str = "ours"
    state: PoolState = field(default_factory=PoolState)
    decision: PoolDecision | None = None
    """The last one: why the size is what it is."""

    def decide(self, view: View) -> int:
        """Return the size that the engine decides."""
        now = START + timedelta(seconds=view.now)
        self.decision, self.state = decide(self.snapshot(view), self.scaling_at(view), self.state, now)
        return self.decision.replicas

    def scaling_at(self, view: View) -> Scaling:
        """Return the rules for a moment: signals that the simulated world cannot measure are left out."""
        return self.scaling.model_copy(update={"signals": self._signals(view)})

    def snapshot(self, view: View) -> PoolSnapshot:
        """Return what the engine sees of the pool."""
        return PoolSnapshot(
            current=view.current,
            ready=view.ready,
            rolling_out=False,
            load=load_of(view),
            concurrency=self.concurrency,
            unschedulable=view.unschedulable,
            unschedulable_seconds=view.unschedulable_seconds,
            no_room=Reason.QUOTA,  # the only lack of room that a simulated pool meets
            became_ready=view.became_ready,
        )

    def _signals(self, view: View) -> list[Signal]:
        silent = {
            SignalType.FIRST_TOKEN_LATENCY: view.first_token_p95 is None and view.sampled_at is not None,
            SignalType.PER_TOKEN_LATENCY: view.per_token_p95 is None and view.sampled_at is not None,
        }
        return [signal for signal in self.scaling.signals if not silent.get(signal.type, False)]


def ours(sizing: Sizing) -> Ours:
    """Return the engine for a pool: `sizing.scaling` with what the profile knows."""
    known = [signal for signal in sizing.scaling.signals if signal.type in _COUNTED]
    signals = [_with_capacity(signal, sizing.capacity_tokens) for signal in known]
    scaling = sizing.scaling.model_copy(
        update={"signals": signals, "startup_seconds": max(1, round(sizing.startup_seconds))}
    )
    return Ours(scaling, sizing.concurrency, sizing.tick_seconds)


def load_of(view: View) -> Load:
    """Return the load that a scrape of a simulated pool tells."""
    return Load(
        queued=_reading(view, view.queued),
        in_flight=_reading(view, view.in_flight),
        queued_tokens=_reading(view, view.queued_tokens),
        offered_tokens=_reading(view, view.offered_tokens),
        offered_tokens_now=_reading(view, view.offered_tokens_now),
        served_tokens=_reading(view, view.served_tokens),
        signals={
            SignalType.GPU_UTILIZATION: _whole(view, view.utilization * 100),
            SignalType.FIRST_TOKEN_LATENCY: _whole(view, (view.first_token_p95 or 0.0) * 1000),
            SignalType.PER_TOKEN_LATENCY: _whole(view, (view.per_token_p95 or 0.0) * 1000),
        },
    )


def _reading(view: View, figure: float) -> Reading:
    """Return a sum over sources: a lower bound when some of them do not answer."""
    if view.sampled_at is not None and view.partial:
        return AtLeast(round(figure * 1000), Problem.PARTIAL, f"{view.partial:.0%} of the sources do not answer")
    return _whole(view, figure)


def _whole(view: View, figure: float) -> Reading:
    return _NOTHING if view.sampled_at is None else Fresh(round(figure * 1000))


def _with_capacity(signal: Signal, capacity_tokens: float) -> Signal:
    if signal.type is not SignalType.TOKEN_DEMAND or signal.target is not None:
        return signal
    return signal.model_copy(update={"target": f"{round(capacity_tokens * 1000)}m"})
