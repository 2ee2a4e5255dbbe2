"""The ONNX graph and its slots against a forward pass in numpy that has no cache at all."""

import numpy as np
import onnxruntime as ort
import pytest

from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.ort_model import OrtModel
from autoglm_node.engine.sequence import Sequence
from support.slot_models import VOCABULARY, reference_scores, tiny_graph, tiny_model, tiny_weights

SEED = 3
ROOM = 64


@pytest.fixture(scope="module")
def session() -> object:
    return ort.InferenceSession(tiny_graph(SEED), providers=["CPUExecutionProvider"])


def prompts(*lengths: int) -> list[list[int]]:
    rng = np.random.default_rng(5)
    return [rng.integers(0, VOCABULARY, length).tolist() for length in lengths]


def test_a_prompt_scores_like_the_reference(session: object) -> None:
    (ids,) = prompts(40)
    scores = tiny_model(session, 3, ROOM).prefill(2, [ids])
    assert scores[0] == pytest.approx(reference_scores(tiny_weights(SEED), ids), abs=1e-4)


def started(session: object, histories: list[list[int]]) -> OrtModel:
    model = tiny_model(session, 4, ROOM)
    for slot, ids in enumerate(histories):
        model.prefill(slot, [ids])
    return model


def decoded(model: OrtModel, histories: list[list[int]], tokens: list[int]) -> np.ndarray:
    scores = model.decode(tokens, [len(ids) for ids in histories])
    for ids, token in zip(histories, tokens, strict=True):
        ids.append(token)
    return scores


def test_slots_of_different_lengths_score_like_the_reference(session: object) -> None:
    histories = prompts(3, 30, 11)
    model, weights = started(session, histories), tiny_weights(SEED)
    for tokens in ([1, 2, 3], [9, 0, 30], [4, 4, 4]):
        scores = decoded(model, histories, tokens)
        for row, ids in zip(scores, histories, strict=True):
            assert row == pytest.approx(reference_scores(weights, ids), abs=1e-4)


def test_a_moved_slot_continues_its_sequence(session: object) -> None:
    histories = prompts(9, 5, 21)
    model = started(session, histories)
    model.move(2, 0, 21)
    histories = [histories[2], histories[1]]
    scores = decoded(model, histories, [7, 8])
    assert scores[0] == pytest.approx(reference_scores(tiny_weights(SEED), histories[0]), abs=1e-4)


def test_a_used_slot_forgets_its_former_sequence(session: object) -> None:
    long, short = prompts(50, 4)
    model = started(session, [long])
    model.prefill(0, [short])
    scores = decoded(model, [short], [3])
    assert scores[0] == pytest.approx(reference_scores(tiny_weights(SEED), short), abs=1e-4)


@pytest.mark.parametrize("slots", [2, 8])
def test_continuous_batching_gives_the_tokens_of_one_at_a_time(session: object, slots: int) -> None:
    def replies(slots: int) -> dict[int, list[int]]:
        loop = DecodeLoop(tiny_model(session, slots, ROOM), slots, ROOM)
        for number, ids in enumerate(prompts(*range(3, 33, 3))):
            loop.submit(Sequence(number, ids, max_tokens=5 + 7 * number % 19))
        tokens: dict[int, list[int]] = {}
        while not loop.idle:
            for event in loop.step():
                tokens.setdefault(event.id, []).append(event.token_id)
        return tokens

    assert replies(slots) == replies(1)
