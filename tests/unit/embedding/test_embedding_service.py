"""A query's way through an embedding worker, with the engine scripted."""

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoglm_node.admission import Admission, Door
from autoglm_node.embedding.query import VectorQuery
from autoglm_node.embedding.service import VectorService
from autoglm_node.embedding.words import Words
from autoglm_node.failure import EngineError, RefusalError
from autoglm_node.metrics import Metrics
from support.encoder_artifacts import HIDDEN, POSITIONS, VOCABULARY, encoder_spec, write_encoder


class Engine:
    """Notes what it is asked; fails or hangs when told to."""

    def __init__(self, error: str = "", seconds: float = 0) -> None:
        self.asked: list[list[tuple[int, ...]]] = []
        self._error, self._seconds = error, seconds

    async def embed(self, texts: Any) -> Any:
        self.asked.append([tuple(ids) for ids in texts])
        await asyncio.sleep(self._seconds)
        if self._error:
            raise EngineError(self._error)
        return np.zeros((len(texts), HIDDEN), dtype=np.float32)


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Words:
    return Words.load(write_encoder(tmp_path_factory.mktemp("model") / "encoder"))


class World:
    """A service with all that it needs."""

    def __init__(self, words: Words, engine: Engine | None = None) -> None:
        self.engine = engine or Engine()
        self.admission = Admission(2)
        self.metrics = Metrics("encoder-test")
        self.told: list[None] = []
        self.service = VectorService(
            encoder_spec(Path("/models/encoder")),
            words,
            self.engine,
            self.admission,
            self.metrics,
            lambda: self.told.append(None),
        )

    async def refusal(self, *texts: Any, deadline: float | None = None, dimensions: int | None = None) -> RefusalError:
        with pytest.raises(RefusalError) as refused:
            await self.service.embed(VectorQuery(texts, dimensions), deadline)
        return refused.value


async def test_texts_and_tokens_reach_the_engine_with_their_marks(words: Words) -> None:
    world = World(words)
    embedded = await world.service.embed(VectorQuery(("the kettle", (5, 6), "[SEP]")), None)
    # A mark that a user writes is no mark; unknown words are [UNK], 1. Tokens are taken as they are.
    assert world.engine.asked == [[(2, 4, 5, 3), (5, 6), (2, 1, 1, 1, 3)]]
    assert embedded.prompt_tokens == 4 + 2 + 5
    assert embedded.vectors.shape == (3, HIDDEN)
    assert world.metrics.registry.get_sample_value("autoglm_node_prompt_tokens_total") == 11


async def test_a_text_is_neither_cut_nor_filled_up(words: Words) -> None:
    world = World(words)
    await world.service.embed(VectorQuery(("the " * 20,)), None)
    assert len(world.engine.asked[0][0]) == 22, "the tokeniser's own file says 8"


@pytest.mark.parametrize(
    ("text", "code", "said"),
    [
        ("the " * POSITIONS, "context_length_exceeded", f"a text has {POSITIONS + 2} tokens; this model takes"),
        ((VOCABULARY,), "invalid_value", f"tokens are numbers between 0 and {VOCABULARY - 1}"),
    ],
)
async def test_what_cannot_be_read_is_refused(words: Words, text: Any, code: str, said: str) -> None:
    world = World(words)
    refusal = await world.refusal("the mug", text)
    assert (refusal.status, refusal.code, refusal.param) == (400, code, "input")
    assert said in refusal.message
    assert not world.engine.asked
    assert world.admission.in_flight == 0


async def test_vectors_are_not_cut(words: Words) -> None:
    world = World(words)
    assert "have 32 numbers and cannot be cut" in (await world.refusal("the mug", dimensions=16)).message
    assert (await world.service.embed(VectorQuery(("the mug",), HIDDEN), None)).vectors.shape == (1, HIDDEN)


async def test_a_failing_engine_is_told_to_client_and_node(words: Words) -> None:
    world = World(words, Engine("broken"))
    refusal = await world.refusal("the mug")
    assert (refusal.status, refusal.code, refusal.message) == (503, "engine_failed", "the engine failed: broken")
    assert len(world.told) == 1


async def test_the_deadline_ends_a_query_and_frees_its_seat(words: Words) -> None:
    world = World(words, Engine(seconds=60))
    assert (await world.refusal("the mug", deadline=0.01)).status == 504
    assert world.admission.in_flight == 0


async def test_the_cap_and_the_door_are_those_of_every_query(words: Words) -> None:
    world = World(words, Engine(seconds=60))
    inside = [asyncio.create_task(world.service.embed(VectorQuery(("the mug",)), None)) for _ in range(2)]
    await asyncio.sleep(0)
    assert (await world.refusal("the mug")).status == 429
    world.admission.door = Door.DRAINING
    assert (await world.refusal("the mug")).status == 503
    for task in inside:
        task.cancel()
    await asyncio.gather(*inside, return_exceptions=True)


async def test_many_characters_are_tokenised_beside_the_loop(words: Words) -> None:
    world = World(words)
    await world.service.embed(VectorQuery(("the mug",) * 4000), None)
    assert world.engine.asked == [[(2, 4, 8, 3)] * 4000]
