"""What the operator remembers of one resource between two reconciles; losing it costs nothing but comfort."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from autoglm_operator.core.conflicts import Dispute
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.scaling.model import PoolDecision


@dataclass(frozen=True, slots=True)
class Memory:
    """Decisions of the scaling engine, and what the API server refused last time."""

    decisions: Mapping[str, PoolDecision] = field(default_factory=dict)
    """Last decision per pool."""
    bases: Mapping[str, int] = field(default_factory=dict)
    """The size for which it was made, per pool."""
    refusals: Mapping[ChildRef, str] = field(default_factory=dict)
    """The API server's sentence per child that it refused."""
    disputes: Mapping[str, Dispute] = field(default_factory=dict)
    """Who else keeps changing the size, per pool."""

    def decided(self, pool: str, decision: PoolDecision, basis: int | None = None) -> "Memory":
        """Return the memory with a new decision; `basis` is the size for which it was made."""
        bases = self.bases if basis is None else {**self.bases, pool: basis}
        return replace(self, decisions={**self.decisions, pool: decision}, bases=bases)

    def with_decisions_of(self, latest: "Memory", pools: Collection[str]) -> "Memory":
        """Return this memory with the decisions of another for the pools that there are."""
        decisions = {name: one for name, one in latest.decisions.items() if name in pools}
        bases = {name: basis for name, basis in latest.bases.items() if name in pools}
        return replace(self, decisions=decisions, bases=bases)


def changes_something(before: PoolDecision | None, after: PoolDecision) -> bool:
    """Tell whether a decision is news: fresh figures for the same size, reason and winner are not."""
    return before is None or _essence(before) != _essence(after)


def _essence(decision: PoolDecision) -> tuple[object, ...]:
    return (decision.replicas, decision.reason, decision.winner, decision.metrics_available, decision.limited)
