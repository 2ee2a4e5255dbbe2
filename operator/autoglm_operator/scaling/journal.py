"""Every decision as one line that can be decided again: the same input gives the same size, for ever.

The scaling loop logs these lines at level DEBUG. A decision also depends on those before it, so what the operator took
up at its start, and what it dropped later, are lines of their own. A journal that begins after them replays exactly
only once its windows have filled.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from autoglm_api.spec import Scaling
from autoglm_operator.scaling import persistence
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


@dataclass(frozen=True, slots=True)
class Begun:
    """What is remembered of a deployment from here on: at the operator's start, and when it is seen again."""

    deployment: str
    """`namespace/deployment`."""
    at: datetime
    saved: str
    """The state as it is kept; empty: nothing."""


@dataclass(frozen=True, slots=True)
class Dropped:
    """A pool of which nothing is remembered any more."""

    dropped: str
    """`namespace/deployment/pool`."""


Record = Entry | Begun | Dropped


class Replayed(NamedTuple):
    """What was decided then, and what the same input gives now."""

    entry: Entry
    decision: PoolDecision


LOGGER: Final = "autoglm_operator.journal"
"""Under which name the lines stand in the operator's log."""
_RECORD: Final[TypeAdapter[Record]] = TypeAdapter(Record)


def line_for(record: Record) -> str:
    """Return the record as one line of JSON."""
    return _RECORD.dump_json(record).decode()


def record_of(line: str) -> Record:
    """Return the record of a line; raises ValueError for what is none."""
    return _RECORD.validate_json(line)


def replay(records: Iterable[Record], scaling: Scaling | None = None) -> Iterator[Replayed]:
    """Decide every entry again, in order; with another `scaling` this is a back-test of a changed policy.

    A back-test keeps the recorded sizes and loads: it tells what would have been decided at each moment, not what the
    world would have become.
    """
    states: dict[str, DeploymentState] = {}
    for moment, group in groupby(records, key=_moment):
        match moment:
            case Begun():
                states[moment.deployment] = persistence.load(moment.saved, moment.at).state or DeploymentState()
            case Dropped():
                _drop(states, *moment.dropped.rsplit("/", 1))
            case (deployment, at):
                made = {one.pool: one for one in group if isinstance(one, Entry)}
                pools = {name: _input(entry, scaling) for name, entry in made.items()}
                budget = next(pool.target.gpu_budget for pool in pools.values())
                before = states.get(deployment, DeploymentState()).pools
                known = {f"{deployment}/{pool}": state for pool, state in before.items()}
                decisions, after = decide_deployment(pools, budget, DeploymentState(known), at)
                learned = {name.rpartition("/")[2]: state for name, state in after.pools.items()}
                states[deployment] = DeploymentState({**before, **learned})
                yield from (Replayed(entry, decisions[name]) for name, entry in made.items())


def _moment(record: Record) -> tuple[str, datetime] | Begun | Dropped:
    return record.moment if isinstance(record, Entry) else record


def _drop(states: dict[str, DeploymentState], deployment: str, pool: str) -> None:
    pools = states.get(deployment, DeploymentState()).pools
    states[deployment] = DeploymentState({name: state for name, state in pools.items() if name != pool})


def _input(entry: Entry, scaling: Scaling | None) -> PoolInput:
    target = entry.target if scaling is None else replace(entry.target, scaling=scaling)
    return PoolInput(target, entry.load)
