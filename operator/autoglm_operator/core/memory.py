"""What the operator remembers of one resource between two reconciles; losing it costs nothing but comfort."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from autoglm_operator.core.conflicts import Dispute
from autoglm_operator.core.keys import ChildRef
from autoglm_operator.scaling.model import PoolDecision

SMALL_NEWS_AFTER: Final = timedelta(seconds=15)
"""Another reason for the same size is acted on this often: a figure on the edge changes its reason at every tick."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Decisions of the scaling engine, and what the API server refused last time."""

    decisions: Mapping[str, PoolDecision] = field(default_factory=dict)
    """Last decision per pool."""
    bases: Mapping[str, int] = field(default_factory=dict)
    """The size for which it was made, per pool."""
    acted: Mapping[str, PoolDecision] = field(default_factory=dict)
    """The last decision per pool that was news."""
    refusals: Mapping[ChildRef, str] = field(default_factory=dict)
    """The API server's sentence per child that it refused."""
    disputes: Mapping[str, Dispute] = field(default_factory=dict)
    """Who else keeps changing the size, per pool."""

    def decided(self, pool: str, decision: PoolDecision, basis: int | None = None) -> "Memory":
        """Return the memory with a new decision; `basis` is the size for which it was made."""
        bases = self.bases if basis is None else {**self.bases, pool: basis}
        acted = {**self.acted, pool: decision} if self.is_news(pool, decision) else self.acted
        return replace(self, decisions={**self.decisions, pool: decision}, bases=bases, acted=acted)

    def is_news(self, pool: str, decision: PoolDecision) -> bool:
        """Tell whether a decision is to be acted on at once."""
        return changes_something(self.acted.get(pool), decision)

    def with_decisions_of(self, latest: "Memory", pools: Collection[str]) -> "Memory":
        """Return this memory with the decisions of another for the pools that there are."""
        decisions = {name: one for name, one in latest.decisions.items() if name in pools}
        bases = {name: basis for name, basis in latest.bases.items() if name in pools}
        acted = {name: one for name, one in latest.acted.items() if name in pools}
        return replace(self, decisions=decisions, bases=bases, acted=acted)


def changes_something(before: PoolDecision | None, after: PoolDecision) -> bool:
    """Tell whether a decision is news after another.

    Another size always is; another reason, winner or limit when the other decision is SMALL_NEWS_AFTER old; fresh
    figures never.
    """
    if before is None or _large(before) != _large(after):
        return True
    return _small(before) != _small(after) and after.at - before.at >= SMALL_NEWS_AFTER


def _large(decision: PoolDecision) -> tuple[object, ...]:
    return (decision.replicas, decision.metrics_available, decision.advisory)


def _small(decision: PoolDecision) -> tuple[object, ...]:
    return (decision.reason, decision.winner, decision.limited)
