"""Every decision as one line that can be decided again: the same input gives the same size, for ever.

The scaling loop logs these lines at level DEBUG. A journal replays exactly when it starts where the operator started,
because a decision also depends on those before it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from autoglm_api.spec import Scaling
from autoglm_operator.scaling.deployment import DeploymentState, PoolInput, decide_deployment
from autoglm_operator.scaling.model import Load, PoolDecision, PoolTarget


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision and all that it was made from; the decision carries the time."""

    pool: str
    """`namespace/deployment/pool`."""
    target: PoolTarget
    load: Load
    decision: PoolDecision

    @property
    def moment(self) -> tuple[str, datetime]:
        """Deployment and time: entries of one moment were decided together, under one GPU budget."""
        return self.pool.rpartition("/")[0], self.decision.at


class Replayed(NamedTuple):
    """What was decided then, and what the same input gives now."""

    entry: Entry
    decision: PoolDecision


LOGGER: Final = "autoglm_operator.journal"
"""Under which name the lines stand in the operator's log."""
_ENTRY: Final = TypeAdapter(Entry)


def line_for(entry: Entry) -> str:
    """Return the entry as one line of JSON."""
    return _ENTRY.dump_json(entry).decode()


def entry_of(line: str) -> Entry:
    """Return the entry of a line; raises ValueError for what is none."""
    return _ENTRY.validate_json(line)


def replay(entries: Iterable[Entry], scaling: Scaling | None = None) -> Iterator[Replayed]:
    """Decide every entry again, in order; with another `scaling` this is a back-test of a changed policy.

    A back-test keeps the recorded sizes and loads: it tells what would have been decided at each moment, not what the
    world would have become.
    """
    states: dict[str, DeploymentState] = {}
    for (deployment, at), group in groupby(entries, key=lambda entry: entry.moment):
        made = {entry.pool: entry for entry in group}
        pools = {name: _input(entry, scaling) for name, entry in made.items()}
        budget = next(pool.target.gpu_budget for pool in pools.values())
        state = states.get(deployment, DeploymentState())
        decisions, after = decide_deployment(pools, budget, state, at)
        states[deployment] = DeploymentState({**state.pools, **after.pools})
        yield from (Replayed(entry, decisions[name]) for name, entry in made.items())


def _input(entry: Entry, scaling: Scaling | None) -> PoolInput:
    target = entry.target if scaling is None else replace(entry.target, scaling=scaling)
    return PoolInput(target, entry.load)
