"""The engine under closed and open loads, without Triton: what the batching itself is worth."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from autoglm_node.engine.artifact import load_model
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.ort_model import OrtModel
from autoglm_node.engine.packing import Batching
from autoglm_node.engine.sampling import Chooser, log_softmax
from autoglm_node.engine.sequence import Sequence as Query

ROOM: Final = 512
ARTIFACTS: Final = Path(__file__).parents[2] / "models" / "artifacts"


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


def model_of(name: str, slots: int) -> OrtModel:
    """Load a shop model on one thread."""
    return load_model(ARTIFACTS / f"glm-shop-{name}", slots=slots, max_sequence_tokens=ROOM)


def run(
    model: OrtModel, slots: int, queries: Sequence[Query], clients: int, batching: Batching | None = None
) -> tuple[Outcome, DecodeLoop]:
    """Answer queries for `clients` clients, each of which sends its next query when it has its answer."""
    loop, outcome = DecodeLoop(model, slots, ROOM, batching), Outcome()
    waiting, asked = iter(queries), dict[int, float]()
    began = time.perf_counter()
    _ask(loop, waiting, asked, clients)
    _drain(loop, outcome, asked, lambda answered: _ask(loop, waiting, asked, answered))
    outcome.seconds = time.perf_counter() - began
    return outcome, loop


def run_static(model: OrtModel, slots: int, queries: Sequence[Query]) -> Outcome:
    """Answer all queries, that come at once, in padded batches that keep all rows until the longest reply ends.

    First tokens are taken as sent when they are produced, which is kind to static batching.
    """
    outcome, began = Outcome(), time.perf_counter()
    for first in range(0, len(queries), slots):
        batch = queries[first : first + slots]
        model.prefill(0, [query.input_ids for query in batch])
        outcome.first_token += [time.perf_counter() - began] * len(batch)
        lengths = [len(query.input_ids) for query in batch]
        choosers, tokens = [Chooser(query.sampling) for query in batch], [7] * len(batch)
        for produced in range(1, max(query.max_tokens for query in batch)):
            scores = log_softmax(model.decode(tokens, [length + produced - 1 for length in lengths]))
            tokens = [chooser.choose(row) for chooser, row in zip(choosers, scores, strict=True)]
        outcome.latency += [time.perf_counter() - began] * len(batch)
        outcome.tokens += sum(query.max_tokens for query in batch)
    outcome.seconds = time.perf_counter() - began
    return outcome


def _ask(loop: DecodeLoop, waiting: Iterator[Query], asked: dict[int, float], count: int) -> None:
    for query, _ in zip(waiting, range(count), strict=False):
        asked[query.id] = time.perf_counter()
        loop.submit(query, asked[query.id])


def _drain(loop: DecodeLoop, outcome: Outcome, asked: dict[int, float], answered: Callable[[int], None]) -> None:
    seen: set[int] = set()
    while not loop.idle:
        ended = 0
        events = loop.step(time.perf_counter())
        now = time.perf_counter()
        for event in events:
            outcome.tokens += 1
            if event.id not in seen:
                seen.add(event.id)
                outcome.first_token.append(now - asked[event.id])
            if event.finish_reason:
                outcome.latency.append(now - asked[event.id])
                ended += 1
        if ended:
            answered(ended)
