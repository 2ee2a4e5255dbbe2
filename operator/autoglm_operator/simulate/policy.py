"""What a scaling policy sees at a tick, and what it answers: the seam between the simulator and every policy.

A policy is an object with a memory. The simulator makes it anew (by its factory) when an operator restart loses the
state, and calls `decide` every `tick_seconds`. The answer is the size asked for; the simulator clamps it to the bounds.
"""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class View:
    """A pool at a tick; every figure of the load is as old as `sampled_at` and as poor as the faults make it."""

    now: float
    """Seconds since the start of the trace."""
    current: int
    """Replicas asked for."""
    ready: int
    """Replicas that answer (known from Kubernetes: neither old nor faulty)."""
    sampled_at: float | None
    """When the figures below were taken; None: metrics are missing, and the figures are 0 without meaning it."""
    queued: float
    """Queries that wait in the gateway."""
    in_flight: float
    """Queries that replicas work on."""
    queued_tokens: float
    """Tokens of the queries that wait."""
    offered_tokens: float
    """Tokens/s that arrived, over the last 60 s."""
    offered_tokens_now: float
    """Tokens/s that arrived, over the shortest window that the scrape interval allows (at least 5 s)."""
    served_tokens: float
    """Tokens/s that replicas finished, over the last 60 s."""
    utilization: float
    """Mean busy share of the ready replicas over the shortest window, 0 to 1."""
    offered_queries: float
    """Queries/s that arrived, over the last 60 s."""
    became_ready: tuple[float, ...]
    """Start-up times in seconds of the replicas that have become ready since the last tick."""
    unschedulable: int
    """Replicas that wait for room in the cluster."""
    partial: float = 0.0
    """Share of the sources (replicas, gateways) that do not answer. Sums lack their part; means are over the others."""
    unschedulable_seconds: float = 0.0
    """How long the oldest of the unschedulable has waited."""
    first_token_p95: float | None = None
    """95th percentile of the time to the first token in seconds over the last 60 s; None: this fidelity has none."""
    per_token_p95: float | None = None
    """95th percentile of the mean time per output token in seconds over the last 60 s; None: as above."""


class Policy(Protocol):
    """A scaling rule with its memory."""

    name: str
    tick_seconds: float
    """How often it is asked; the simulator's step is 1 s, so shorter ticks act as 1 s."""

    def decide(self, view: View) -> int:
        """Return the size to ask for."""
        ...
