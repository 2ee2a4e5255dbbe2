"""Score an artefact on held-out sentences through the engine that serves it.

python -m autoglm_shop.evaluate light [--queries 1000] [--train-seconds S] [--write]
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from dataclasses import dataclass
from importlib.metadata import version
from operator import eq
from pathlib import Path
from typing import TYPE_CHECKING, Final

from autoglm_api.spec import Precision
from autoglm_node.chat import Chat
from autoglm_node.engine.artifact import ONE_THREAD, Runs, load_model
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.sequence import FinishReason, Sequence
from autoglm_node.query import Message
from autoglm_shop import artifact
from autoglm_shop.task import Kind, Query, Split, generate, score

if TYPE_CHECKING:
    from collections.abc import Sequence as Items

FIRST_SEED: Final = 1_000_000
SLOTS: Final = 8
ROOM: Final = 256
INT8: Final = Runs(precision=Precision.INT8)


@dataclass(frozen=True, slots=True)
class Replies:
    """What a model answered, and what it took."""

    texts: list[str]
    tokens: int
    seconds: float

    @property
    def rate(self) -> float:
        """Tokens per second."""
        return self.tokens / self.seconds


def held_out(kind: Kind, n: int) -> list[Query]:
    """Return the `n` evaluation queries of a kind."""
    return [generate(FIRST_SEED + number, Split.TEST, kind) for number in range(n)]


def answer(directory: Path, queries: Items[Query], slots: int = SLOTS, runs: Runs = ONE_THREAD) -> Replies:
    """Answer queries greedily with a model directory, `slots` at a time."""
    chat = Chat.load(directory)
    stops = frozenset(chat.format.stop_ids)
    loop = DecodeLoop(load_model(directory, slots=slots, max_sequence_tokens=ROOM, runs=runs), slots, ROOM)
    for number, query in enumerate(queries):
        ids = chat.prompt_ids([Message("user", query.prompt)])
        loop.submit(Sequence(number, ids, chat.format.default_max_tokens, stop_ids=stops))
    started, produced = time.thread_time(), 0  # of one thread, so that neighbours do not count
    replies: list[list[int]] = [[] for _ in queries]
    while not loop.idle:
        for event in loop.step():
            produced += 1
            if event.finish_reason is not FinishReason.STOP:
                replies[event.id].append(event.token_id)
    seconds = time.thread_time() - started
    return Replies([chat.reply().push(reply) for reply in replies], produced, seconds)


def evaluate(directory: Path, n: int) -> dict[str, object]:
    """Return accuracy and speed per kind, with everything needed to repeat the run."""
    return {
        "split": Split.TEST,
        "first_seed": FIRST_SEED,
        "kinds": {kind.value: _figures(directory, held_out(kind, n)) for kind in Kind},
        "machine": platform.processor() or platform.machine(),
        "versions": {name: version(name) for name in ("onnxruntime", "tokenizers", "numpy")},
    }


def compare(directory: Path, n: int, runs: Runs = INT8) -> dict[str, object]:
    """Return how another way to run a model does beside FP32 in ONNX Runtime: accuracy, equal replies, speed."""
    figures: dict[str, object] = {}
    for kind in Kind:
        queries = held_out(kind, n)
        plain, other = answer(directory, queries), answer(directory, queries, runs=runs)
        figures[kind.value] = {
            "n": n,
            "accuracy": round(sum(map(score, queries, other.texts)) / n, 4),
            "accuracy_fp32": round(sum(map(score, queries, plain.texts)) / n, 4),
            "replies_as_fp32": round(sum(map(eq, plain.texts, other.texts)) / n, 4),
            "tokens_per_second_of_fp32": round(other.rate / plain.rate, 2),
        }
    return figures


def _figures(directory: Path, queries: list[Query]) -> dict[str, object]:
    alone = answer(directory, queries[:100], slots=1)
    replies = answer(directory, queries)
    right = [score(query, text) for query, text in zip(queries, replies.texts, strict=True)]
    templates: dict[str, list[bool]] = {}
    for query, was_right in zip(queries, right, strict=True):
        templates.setdefault(query.template_id, []).append(was_right)
    return {
        "n": len(queries),
        "accuracy": round(sum(right) / len(right), 4),
        "reply_tokens_mean": round(replies.tokens / len(queries), 1),
        "milliseconds_per_query_alone": round(1000 * alone.seconds / len(alone.texts), 2),
        "tokens_per_second_alone": round(alone.tokens / alone.seconds),
        f"tokens_per_second_{SLOTS}_slots": round(replies.tokens / replies.seconds),
        "templates": {name: round(sum(rights) / len(rights), 3) for name, rights in sorted(templates.items())},
    }


def main() -> None:
    """Print the figures of the named artefact."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=("light", "large"))
    parser.add_argument("--directory", type=Path)
    parser.add_argument("--queries", type=int, default=1000)
    given = parser.parse_args()
    directory = given.directory or artifact.directory_of(given.name)
    print(json.dumps(evaluate(directory, given.queries), indent=2))


if __name__ == "__main__":
    main()
