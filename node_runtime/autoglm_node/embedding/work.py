"""Queries of several texts each, cut into passes and put together again. Pure but for the encoder's own work."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, NamedTuple

import numpy as np

from autoglm_node.embedding.encoder import Vectors
from autoglm_node.embedding.packing import next_pass
from autoglm_node.engine.packing import Batching

Encode = Callable[[Sequence[Sequence[int]]], Vectors]
# Comparing all of many thousand waiting texts would take longer than reading the oldest.
_LOOKED_AT: Final = 1024


class Text(NamedTuple):
    """One text of a query."""

    query: int
    place: int
    ids: Sequence[int]


class Answer(NamedTuple):
    """A query whose texts are all read: its vectors [texts, dimensions] in their order."""

    query: int
    vectors: Vectors


@dataclass
class Counts:
    """What was read since the start."""

    prompt_tokens: int = 0
    padded_tokens: int = 0
    passes: int = 0


@dataclass
class Work:
    """What waits to be read."""

    encode: Encode
    batching: Batching
    counts: Counts = field(default_factory=Counts)
    _waiting: OrderedDict[tuple[int, int], Text] = field(default_factory=OrderedDict)
    _done: dict[int, list[Vectors | None]] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Texts that are not read yet."""
        return len(self._waiting)

    def submit(self, query: int, texts: Sequence[Sequence[int]]) -> None:
        """Take in a query of at least one text."""
        self._done[query] = [None] * len(texts)
        for place, ids in enumerate(texts):
            self._waiting[query, place] = Text(query, place, ids)

    def cancel(self, query: int) -> None:
        """Forget a query."""
        for place in range(len(self._done.pop(query, ()))):
            self._waiting.pop((query, place), None)

    def step(self) -> list[Answer]:
        """Read one pass; return the queries that are complete now."""
        candidates = list(islice(self._waiting.values(), _LOOKED_AT))
        chosen = [candidates[place] for place in next_pass([len(text.ids) for text in candidates], self.batching)]
        vectors = self.encode([text.ids for text in chosen])
        self._count([len(text.ids) for text in chosen])
        for text, vector in zip(chosen, vectors, strict=True):
            del self._waiting[text.query, text.place]
            self._done[text.query][text.place] = vector
        return [answer for query in dict.fromkeys(text.query for text in chosen) if (answer := self._complete(query))]

    def _count(self, lengths: Sequence[int]) -> None:
        self.counts.prompt_tokens += sum(lengths)
        self.counts.padded_tokens += max(lengths) * len(lengths)
        self.counts.passes += 1

    def _complete(self, query: int) -> Answer | None:
        vectors = [vector for vector in self._done[query] if vector is not None]
        if len(vectors) < len(self._done[query]):
            return None
        del self._done[query]
        return Answer(query, np.stack(vectors))
