"""A query's way through the node, in no protocol's words: tokenise, take a seat, generate, decode, count."""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Final, Protocol

from autoglm_api.config import EngineSpec
from autoglm_api.spec import Backend
from autoglm_node.admission import Admission
from autoglm_node.chat import Chat, ReplyText
from autoglm_node.failure import EngineError, RefusalError
from autoglm_node.metrics import Metrics
from autoglm_node.query import Finish, Generation, Message, Piece, Query, Score, Tally, Usage

log = logging.getLogger(__name__)

# Above this many characters a prompt is tokenised in a thread, so that one long query does not hold up all others.
_INLINE_CHARACTERS: Final = 16_384
_SEED_MASK: Final = 2**63 - 1  # the engine takes no larger seeds
_CHARACTERS_OF_A_TURN: Final = 64  # what the marks of a turn cost, however short it is


class Engine(Protocol):
    """What the service needs of the engine; triton_client.TextModel is one."""

    def generate(self, generation: Generation) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of a reply; closing the iterator cancels the engine's work."""


class Reply:
    """One reply while it grows."""

    def __init__(
        self,
        prompt_tokens: int,
        pieces: AsyncGenerator[Piece, None],
        text: ReplyText,
        scored: Callable[[Piece], list[Score]] = lambda _: [],
    ) -> None:
        self.prompt_tokens = prompt_tokens
        self.tally = Tally()
        self.on_first_token: Callable[[], None] = lambda: None
        self.first_token_at: float | None = None
        """On the monotonic clock; None before the first token."""
        self._pieces = pieces
        self._text = text
        self._scored = scored
        self._scores: list[Score] = []

    def take_scores(self) -> list[Score]:
        """Return the tokens since the last call, where they were asked for."""
        taken, self._scores = self._scores, []
        return taken

    async def close(self) -> None:
        """Cancel the engine's work where it has not ended."""
        await self._pieces.aclose()

    async def texts(self) -> AsyncGenerator[str, None]:
        """Yield the text that each piece makes certain, also when that is none; afterwards `tally` is final."""
        async for piece in self._pieces:
            if not self.tally.tokens:
                self.first_token_at = time.monotonic()
                self.on_first_token()
            self.tally.add(piece)
            self._scores += self._scored(piece)
            yield self._text.push(piece.token_ids)
            if self._text.stopped:
                self.tally.finish = Finish.STOP
                return
        yield self._text.flush()


def serves(spec: EngineSpec, model: str) -> bool:
    """Return whether a query for this model name is for the worker of this spec."""
    return model in (spec.model_name, spec.deployment)


def check_model(spec: EngineSpec, model: str) -> None:
    """Refuse a query for another model than the spec's with a 404."""
    if not serves(spec, model):
        message = f"model {model!r} does not exist here; there are {spec.model_name!r} and {spec.deployment!r}"
        raise RefusalError(404, message, code="model_not_found", param="model")


def engine_failed(error: EngineError, tell: Callable[[], None]) -> RefusalError:
    """Return what the client of a query is told that the engine failed, after telling the node."""
    log.warning("the engine failed a query: %s", error)
    tell()
    return RefusalError(503, f"the engine failed: {error}", code="engine_failed")


def usage_of(replies: Sequence[Reply]) -> Usage:
    """Return the tokens of a query, whose prompt counts once, and those produced so far."""
    return Usage(replies[0].prompt_tokens, sum(reply.tally.tokens for reply in replies))


def _varied(generation: Generation, number: int) -> Generation:
    """Return what is asked for one of several replies: each has a seed of its own."""
    if not number:
        return generation
    sampling = generation.sampling
    return replace(generation, sampling=replace(sampling, seed=(sampling.seed + number) & _SEED_MASK))


class Service:
    """Answers queries with one engine."""

    def __init__(
        self,
        spec: EngineSpec,
        chat: Chat,
        engine: Engine,
        admission: Admission,
        metrics: Metrics,
        on_engine_error: Callable[[], None],
    ) -> None:
        """`on_engine_error` hears that the engine failed a query, so that it is looked at before its next canary."""
        self.spec = spec
        self._chat = chat
        self._engine = engine
        self._admission = admission
        self._metrics = metrics
        self._on_engine_error = on_engine_error

    @asynccontextmanager
    async def answer(self, query: Query, deadline_seconds: float | None) -> AsyncIterator[list[Reply]]:
        """Hold a seat and the query's replies while the block runs; leaving it early cancels the engine's work.

        The engine starts a reply when its texts are asked for: one after the other, they fit into one seat.

        Raises:
            RefusalError: 400 bad prompt, 429 full, 503 draining or engine failure, 504 deadline.
        """
        arrival = time.monotonic()
        async with self._admission.seat(deadline_seconds):
            generation = await self._generation(query)
            with self._admission.room_for(len(generation.input_ids)):
                replies = [self._reply(query, generation, number) for number in range(query.replies)]
                replies[0].on_first_token = lambda: self._metrics.first_token_seconds.observe(
                    time.monotonic() - arrival
                )
                try:
                    yield replies
                except EngineError as error:
                    raise engine_failed(error, self._on_engine_error) from None
                finally:
                    await self._end(replies)

    async def _end(self, replies: Sequence[Reply]) -> None:
        self._count(replies[0])
        for reply in replies[1:]:
            if reply.tally.tokens:
                self._count(reply)
        for reply in replies:
            await reply.close()

    def _reply(self, query: Query, generation: Generation, number: int) -> Reply:
        pieces = self._engine.generate(_varied(generation, number))
        scored = (lambda _: []) if query.top_logprobs is None else self._scores
        return Reply(len(generation.input_ids), pieces, self._chat.reply(query.stops), scored)

    def _scores(self, piece: Piece) -> list[Score]:
        alternatives = piece.alternatives or ((),) * len(piece.token_ids)
        tokens = zip(piece.token_ids, piece.logprobs, alternatives, strict=True)
        return [self._chat.score(*token) for token in tokens]

    def _count(self, reply: Reply) -> None:
        first = reply.first_token_at
        after_first = None if first is None else time.monotonic() - first
        self._metrics.count_answer(reply.prompt_tokens, reply.tally, after_first)

    async def _generation(self, query: Query) -> Generation:
        self._refuse_what_the_engine_lacks(query)
        ids = await self._prompt_ids(query)
        room = self.spec.max_sequence_tokens - len(ids)
        if room < 1:
            limit = self.spec.max_sequence_tokens
            message = f"the prompt has {len(ids)} tokens; this model takes {limit} tokens, at least one for the answer"
            raise RefusalError(400, message, code="context_length_exceeded", param="messages")
        wanted = query.max_tokens or self._chat.format.default_max_tokens
        return Generation(ids, min(wanted, room), query.sampling, query.top_logprobs or 0)

    def _refuse_what_the_engine_lacks(self, query: Query) -> None:
        if self.spec.backend is not Backend.TENSORRT_LLM:
            return
        for name, asked in (("min_p", query.sampling.min_p), ("top_logprobs", query.top_logprobs)):
            if asked:
                message = f"{name}: backend {self.spec.backend} does not offer it; leave it out"
                raise RefusalError(400, message, code="unsupported_parameter", param=name)

    async def _prompt_ids(self, query: Query) -> Sequence[int]:
        if query.prompt is None:
            return await self._turns_ids(query.messages)
        ids = await self._bare_ids(query.prompt)
        if not ids:
            raise RefusalError(400, "prompt: it is empty", code="invalid_value", param="prompt")
        return ids

    async def _bare_ids(self, prompt: str | tuple[int, ...]) -> Sequence[int]:
        if isinstance(prompt, str):
            if len(prompt) > _INLINE_CHARACTERS:
                return await asyncio.to_thread(self._chat.text_ids, prompt)
            return self._chat.text_ids(prompt)
        if not all(0 <= token < self._chat.vocabulary for token in prompt):
            message = f"prompt: tokens are numbers between 0 and {self._chat.vocabulary - 1}"
            raise RefusalError(400, message, code="invalid_value", param="prompt")
        return prompt

    async def _turns_ids(self, messages: Sequence[Message]) -> list[int]:
        try:
            if sum(_CHARACTERS_OF_A_TURN + len(message.content) for message in messages) > _INLINE_CHARACTERS:
                return await asyncio.to_thread(self._chat.prompt_ids, messages)
            return self._chat.prompt_ids(messages)
        except KeyError as error:
            message = f"this model knows no role {error}; it knows {', '.join(self._chat.format.roles)}"
            raise RefusalError(400, message, code="invalid_value", param="messages") from None
