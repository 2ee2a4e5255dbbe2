"""A query's way through an embedding worker: tokenise, take a seat, read, count."""

import asyncio
from collections.abc import Callable
from typing import Final, Protocol

from autoglm_api.config import EngineSpec
from autoglm_node.admission import Admission
from autoglm_node.embedding.client import Texts
from autoglm_node.embedding.encoder import Vectors
from autoglm_node.embedding.query import Embedded, Text, VectorQuery
from autoglm_node.embedding.words import Words
from autoglm_node.failure import EngineError, RefusalError
from autoglm_node.metrics import Metrics
from autoglm_node.service import engine_failed

# Above this many characters texts are tokenised in a thread, so that one long query does not hold up all others.
_INLINE_CHARACTERS: Final = 16_384


class Engine(Protocol):
    """What the service needs of the engine; VectorClient is one."""

    async def embed(self, texts: Texts) -> Vectors:
        """Return the vectors of tokenised texts."""


class VectorService:
    """Answers queries with one engine."""

    def __init__(
        self,
        spec: EngineSpec,
        words: Words,
        engine: Engine,
        admission: Admission,
        metrics: Metrics,
        on_engine_error: Callable[[], None],
    ) -> None:
        """`on_engine_error` hears that the engine failed a query, so that it is looked at before its next canary."""
        self.spec = spec
        self.words = words
        self._engine = engine
        self._admission = admission
        self._metrics = metrics
        self._on_engine_error = on_engine_error

    async def embed(self, query: VectorQuery, deadline_seconds: float | None) -> Embedded:
        """Return the vectors of a query; being cancelled cancels the engine's work.

        Raises:
            RefusalError: 400 bad text, 429 full, 503 draining or engine failure, 504 deadline.
        """
        self._check_dimensions(query.dimensions)
        async with self._admission.seat(deadline_seconds):
            ids = await self._ids(query.texts)
            with self._admission.room_for(max(map(len, ids))):
                try:
                    vectors = await self._engine.embed(ids)
                except EngineError as error:
                    raise engine_failed(error, self._on_engine_error) from None
        tokens = sum(map(len, ids))
        self._metrics.prompt_tokens.inc(tokens)
        return Embedded(vectors, tokens)

    def _check_dimensions(self, asked: int | None) -> None:
        own = self.words.format.dimensions
        if asked not in (None, own):
            message = f"dimensions: vectors of model {self.spec.model_name!r} have {own} numbers and cannot be cut"
            raise RefusalError(400, message, code="invalid_value", param="dimensions")

    async def _ids(self, texts: tuple[Text, ...]) -> list[tuple[int, ...]]:
        if sum(map(len, texts)) > _INLINE_CHARACTERS:
            return await asyncio.to_thread(self._tokenised, texts)
        return self._tokenised(texts)

    def _tokenised(self, texts: tuple[Text, ...]) -> list[tuple[int, ...]]:
        return [self._checked(self.words.ids(text) if isinstance(text, str) else text) for text in texts]

    def _checked(self, ids: tuple[int, ...]) -> tuple[int, ...]:
        limit = self.spec.max_sequence_tokens
        if len(ids) > limit:
            message = f"input: a text has {len(ids)} tokens; this model takes {limit}"
            raise RefusalError(400, message, code="context_length_exceeded", param="input")
        if max(ids) >= self.words.vocabulary:
            message = f"input: tokens are numbers between 0 and {self.words.vocabulary - 1}"
            raise RefusalError(400, message, code="invalid_value", param="input")
        return ids
