"""The engine under closed and open loads, without Triton: what the batching itself is worth.

Time is the CPU time of the one thread that does all the work, so neighbours on the machine count little; waiting for
the next arrival is skipped.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autoglm_node.engine.artifact import ONE_THREAD, Runs, ServedModel, load_model
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import Batching
from autoglm_node.engine.sampling import Chooser, log_softmax
from autoglm_node.engine.sequence import Sequence as Query

ROOM: Final = 512
ARTIFACTS: Final = Path(__file__).parents[2] / "models" / "artifacts"

Arrivals = Sequence[tuple[float, Query]]
"""When each query comes, in seconds, and what it asks."""


class Clock:
    """CPU time of this thread, and what was waited for on top."""

    def __init__(self) -> None:
        """Begin at 0."""
        self._offset = -time.thread_time()

    def __call__(self) -> float:
        """Return seconds since the start."""
        return time.thread_time() + self._offset

    def wait_until(self, moment: float) -> None:
        """Be at `moment` now, unless it has passed."""
        self._offset += max(0.0, moment - self())


@dataclass
class Outcome:
    """What a round took, in seconds, and what it produced."""

    seconds: float = 0.0
    tokens: int = 0
    first_token: list[float] = field(default_factory=list)
    latency: list[float] = field(default_factory=list)

    @property
    def tokens_per_second(self) -> float:
        """Produced tokens per second."""
        return self.tokens / self.seconds

    @property
    def queries_per_second(self) -> float:
        """Answered queries per second."""
        return len(self.latency) / self.seconds


def model_of(name: str, slots: int, runs: Runs = ONE_THREAD) -> ServedModel:
    """Load a shop model."""
    return load_model(ARTIFACTS / f"glm-shop-{name}", slots=slots, max_sequence_tokens=ROOM, runs=runs)


def run(
    model: ServedModel, slots: int, queries: Sequence[Query], clients: int, batching: Batching | None = None
) -> tuple[Outcome, DecodeLoop]:
    """Answer queries for `clients` clients, each of which sends its next query when it has its answer."""
    loop, outcome, clock = DecodeLoop(model, slots, ROOM, batching), Outcome(), Clock()
    waiting, asked = iter(queries), dict[int, float]()
    _ask(loop, waiting, asked, clients, clock)
    _drain(loop, outcome, asked, lambda answered: _ask(loop, waiting, asked, answered, clock), clock)
    outcome.seconds = clock()
    return outcome, loop


def run_open(model: ServedModel, slots: int, arrivals: Arrivals) -> Outcome:
    """Answer queries that come at their time, with continuous batching."""
    loop, outcome, clock = DecodeLoop(model, slots, ROOM), Outcome(), Clock()
    asked, todo = {query.id: at for at, query in arrivals}, list(arrivals)[::-1]
    seen: set[int] = set()
    while todo or not loop.idle:
        if loop.idle:
            clock.wait_until(todo[-1][0])
        while todo and todo[-1][0] <= clock():
            at, query = todo.pop()
            loop.submit(query, at)
        _take(loop, outcome, asked, seen, clock)
    outcome.seconds = clock()
    return outcome


def run_static(model: ServedModel, slots: int, arrivals: Arrivals) -> Outcome:
    """Answer in padded batches of what is there, which keep all rows until the longest reply ends.

    First tokens are taken as sent when they are produced, which is kind to static batching.
    """
    outcome, clock, todo = Outcome(), Clock(), list(arrivals)
    while todo:
        clock.wait_until(todo[0][0])
        batch = [(at, query) for at, query in todo[:slots] if at <= clock()]
        del todo[: len(batch)]
        _static_batch(model, batch, outcome, clock)
    outcome.seconds = clock()
    return outcome


def at_once(queries: Sequence[Query]) -> Arrivals:
    """Return queries that all come at the start."""
    return [(0.0, query) for query in queries]


def _static_batch(model: ServedModel, batch: Arrivals, outcome: Outcome, clock: Clock) -> None:
    queries = [query for _, query in batch]
    model.prefill(0, [query.input_ids for query in queries])
    outcome.first_token += [clock() - at for at, _ in batch]
    lengths = [len(query.input_ids) for query in queries]
    choosers, tokens = [Chooser(query.sampling) for query in queries], [7] * len(queries)
    for produced in range(1, max(query.max_tokens for query in queries)):
        scores = log_softmax(model.decode(tokens, [length + produced - 1 for length in lengths]))
        tokens = [chooser.choose(row) for chooser, row in zip(choosers, scores, strict=True)]
    outcome.latency += [clock() - at for at, _ in batch]
    outcome.tokens += sum(query.max_tokens for query in queries)


def _ask(loop: DecodeLoop, waiting: Iterator[Query], asked: dict[int, float], count: int, clock: Clock) -> None:
    for query, _ in zip(waiting, range(count), strict=False):
        asked[query.id] = clock()
        loop.submit(query, asked[query.id])


def _drain(
    loop: DecodeLoop, outcome: Outcome, asked: dict[int, float], answered: Callable[[int], None], clock: Clock
) -> None:
    seen: set[int] = set()
    while not loop.idle:
        if ended := _take(loop, outcome, asked, seen, clock):
            answered(ended)


def _take(loop: DecodeLoop, outcome: Outcome, asked: dict[int, float], seen: set[int], clock: Clock) -> int:
    """Do one step and note what it brought; return how many replies ended."""
    ended = 0
    events = loop.step(clock())
    now = clock()
    for event in events:
        outcome.tokens += 1
        if event.id not in seen:
            seen.add(event.id)
            outcome.first_token.append(now - asked[event.id])
        if event.finish_reason:
            outcome.latency.append(now - asked[event.id])
            ended += 1
    return ended
