"""What the Open Inference Protocol's statistics call tells: how many queries ended how, and after how long. Pure."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Durations:
    """Queries and the nanoseconds that they took together."""

    count: int = 0
    nanoseconds: int = 0


@dataclass(slots=True)
class Took:
    """Queries since the start, answered and others."""

    answered: Durations = field(default_factory=Durations)
    failed: Durations = field(default_factory=Durations)

    def add(self, nanoseconds: int, *, answered: bool) -> None:
        """Count a query that is over."""
        counted = self.answered if answered else self.failed
        counted.count += 1
        counted.nanoseconds += nanoseconds


def described(model: str, version: str, took: Took) -> dict[str, Any]:
    """Return the statistics of a model in the protocol's words; only what is known here is in it.

    Queue and compute times are the engine's own and on the metrics page.
    """
    answered, failed = ({"count": one.count, "ns": one.nanoseconds} for one in (took.answered, took.failed))
    counts = {"inference_count": took.answered.count, "execution_count": took.answered.count}
    return {"name": model, "version": version, **counts, "inference_stats": {"success": answered, "fail": failed}}
