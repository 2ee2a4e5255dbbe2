"""Every decision as one line that can be decided again: the same input gives the same size, for ever.

The scaling loop logs these lines at level DEBUG. A journal replays exactly when it starts where the operator started,
because a decision also depends on those before it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from pydantic import TypeAdapter

from autoglm_api.spec import Scaling
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import PoolDecision, PoolSnapshot


@dataclass(frozen=True, slots=True)
class Entry:
    """One decision and all that it was made from; the decision carries the time."""

    pool: str
    """`namespace/deployment/pool`."""
    scaling: Scaling
    snapshot: PoolSnapshot
    decision: PoolDecision


class Replayed(NamedTuple):
    """What was decided then, and what the same input gives now."""

    entry: Entry
    decision: PoolDecision


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
    states: dict[str, PoolState] = {}
    for entry in entries:
        state = states.get(entry.pool, PoolState())
        rules = entry.scaling if scaling is None else scaling
        decision, states[entry.pool] = decide(entry.snapshot, rules, state, entry.decision.at)
        yield Replayed(entry, decision)
