"""The engine on PyTorch, where it is installed: `uv pip install torch` (5 GB) is nobody's duty."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoglm_api.spec import Backend, Precision
from autoglm_node.engine.artifact import Runs, ServedModel, load_model
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.sequence import Sequence
from autoglm_shop import artifact
from autoglm_shop.evaluate import answer, held_out
from autoglm_shop.task import Kind, score

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

ROOM, SLOTS = 128, 6
TORCH = Runs(Backend.PYTORCH)
BF16 = Runs(Backend.PYTORCH, Precision.BF16)
LARGE = artifact.directory_of("large")


def model(runs: Runs, slots: int = SLOTS) -> ServedModel:
    return load_model(LARGE, slots=slots, max_sequence_tokens=ROOM, runs=runs)


def prompts(*lengths: int) -> list[list[int]]:
    rng = np.random.default_rng(5)
    return [rng.integers(6, 600, length).tolist() for length in lengths]


def replies(loop: DecodeLoop, queries: Iterable[Sequence]) -> dict[int, list[int]]:
    for query in queries:
        loop.submit(query)
    told: dict[int, list[int]] = {}
    while not loop.idle:
        for event in loop.step():
            told.setdefault(event.id, []).append(event.token_id)
    return told


def test_scores_are_those_of_onnx_runtime() -> None:
    ours, theirs = model(TORCH), model(Runs())
    ids = prompts(30, 30, 30)
    assert ours.prefill(1, ids) == pytest.approx(theirs.prefill(1, ids), abs=2e-3)
    assert ours.prefill(0, ids[:1]) == pytest.approx(theirs.prefill(0, ids[:1]), abs=2e-3)
    for held in (30, 31):
        tokens, lengths = [7, 8, 9, 10], [held] * 4
        assert ours.decode(tokens, lengths) == pytest.approx(theirs.decode(tokens, lengths), abs=2e-3)


def test_inference_never_records_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    attend, recording = torch.nn.functional.scaled_dot_product_attention, list[bool]()

    def noted(*given: Any, **named: Any) -> Any:
        recording.append(torch.is_grad_enabled() or not torch.is_inference_mode_enabled())
        return attend(*given, **named)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", noted)
    ours = model(TORCH)
    ours.prefill(0, prompts(9))
    ours.extend(0, [5], 9)
    ours.decode([7], [10])
    assert recording
    assert not any(recording)


def test_rows_of_different_lengths_and_chunks() -> None:
    ours, theirs = model(TORCH), model(Runs())
    for one in (ours, theirs):
        for slot, ids in enumerate(prompts(3, 40, 17)):
            one.prefill(slot, [ids])
    assert ours.decode([1, 2, 3], [3, 40, 17]) == pytest.approx(theirs.decode([1, 2, 3], [3, 40, 17]), abs=2e-3)
    (more,) = prompts(9)
    assert ours.extend(1, more, 41) == pytest.approx(theirs.extend(1, more, 41), abs=2e-3)


def test_a_moved_slot_continues_its_sequence() -> None:
    one = model(TORCH)
    for slot, ids in enumerate(prompts(12, 20)):
        one.prefill(slot, [ids])
    stayed = one.decode([5, 5], [12, 20])[1].copy()
    one.move(1, 0, 20)
    assert one.decode([5], [20])[0] == pytest.approx(stayed, abs=1e-4)


def test_continuous_batching_gives_the_tokens_of_one_at_a_time() -> None:
    queries = [Sequence(n, ids, 5 + 7 * n % 19) for n, ids in enumerate(prompts(*range(5, 45, 5)))]
    together = replies(DecodeLoop(model(TORCH), SLOTS, ROOM), queries)
    assert together == replies(DecodeLoop(model(TORCH, 1), 1, ROOM), queries)


@pytest.mark.parametrize(("runs", "least"), [(TORCH, 0.95), (BF16, 0.75)])
def test_replies_are_nearly_those_of_onnx_runtime(runs: Runs, least: float) -> None:
    queries = held_out(Kind.COMPLEX, 40)
    plain, ours = answer(LARGE, queries), answer(LARGE, queries, runs=runs)
    assert np.mean([a == b for a, b in zip(plain.texts, ours.texts, strict=True)]) >= least
    right = [sum(map(score, queries, told.texts)) for told in (plain, ours)]
    assert right[1] >= right[0] - 3


def test_another_models_graph_is_refused_by_name(tmp_path: Path) -> None:
    from autoglm_node.engine import torch_model  # noqa: PLC0415 - needs PyTorch

    weights = torch_model.Weights({"embeddings": np.zeros((2, 2))}, None)
    with pytest.raises(ValueError, match=r"no weights called attention\.0\.qkv"):
        torch_model.TorchModel(weights, torch_model.TorchShape(1, 1, 1, 2), 1, 8)
