"""INT8 graphs: the arithmetic of the numbers, and a tiny GLM that scores as before."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from autoglm_node.engine.artifact import GlmConfig
from autoglm_shop.quantise import Range, calibrated, int8_weights, quantised
from support.slot_models import TINY, VOCABULARY, reference_scores, tiny_graph, tiny_model, tiny_weights

SEED, ROOM = 3, 64
CONFIG = GlmConfig(
    num_hidden_layers=TINY.layers,
    num_attention_heads=TINY.heads,
    num_key_value_heads=TINY.kv_heads,
    head_dim=TINY.head,
    vocab_size=VOCABULARY,
    max_position_embeddings=ROOM,
)


def prompts(count: int) -> list[list[int]]:
    rng = np.random.default_rng(8)
    return [rng.integers(0, VOCABULARY, length).tolist() for length in rng.integers(5, 40, count)]


@pytest.fixture(scope="module")
def graphs() -> tuple[onnx.ModelProto, onnx.ModelProto]:
    plain = onnx.load_model_from_string(tiny_graph(SEED))
    return plain, quantised(plain, calibrated(plain, CONFIG, prompts(24)))


def test_weights_are_off_by_half_a_step_of_their_column_at_most() -> None:
    weights = np.random.default_rng(1).normal(0, [[0.01, 1, 50]], (40, 3)).astype(np.float32)
    small, scales = int8_weights(weights)
    assert small.dtype == np.int8
    assert np.all(np.abs(small * scales - weights) <= scales / 2 * 1.001)


def test_a_column_of_zeros_stays_zero() -> None:
    small, scales = int8_weights(np.zeros((4, 1), np.float32))
    assert not small.any()
    assert np.isfinite(scales).all()


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 5.0), (-2.0, 0.0), (0.0, 0.0)])
def test_a_range_holds_zero_exactly_and_both_ends_nearly(low: float, high: float) -> None:
    span = Range(low, high)
    ends = np.clip(np.rint(np.array([low, high]) / span.scale) + int(span.zero), 0, 255)
    assert (ends - int(span.zero)) * span.scale == pytest.approx([low, high], abs=float(span.scale))


def test_ranges_cover_what_was_seen(graphs: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    few, more = (calibrated(graphs[0], CONFIG, prompts(24)[:count]) for count in (2, 24))
    assert few.keys() == more.keys()
    assert all(more[name].low <= few[name].low <= 0 <= few[name].high <= more[name].high for name in few)


def test_every_product_with_weights_is_in_int8_and_nothing_is_left_over(
    graphs: tuple[onnx.ModelProto, onnx.ModelProto],
) -> None:
    plain, small = graphs
    kinds = [node.op_type for node in small.graph.node]
    assert kinds.count("MatMulIntegerToFloat") == 4 * TINY.layers + 1
    assert "MatMul" not in kinds
    used = {name for node in small.graph.node for name in node.input}
    assert {one.name for one in small.graph.initializer} <= used
    assert [one.name for one in small.graph.input] == [one.name for one in plain.graph.input]
    assert kinds.count("Cast") == 1  # the embeddings'


def test_scores_stay_close_to_the_reference(graphs: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    session = ort.InferenceSession(graphs[1].SerializeToString(), providers=["CPUExecutionProvider"])
    model, weights = tiny_model(session, 1, ROOM), tiny_weights(SEED)
    for ids in prompts(30)[24:]:
        scores, exact = model.prefill(0, [ids])[0], reference_scores(weights, ids)
        assert np.corrcoef(scores, exact)[0, 1] > 0.99


def test_scores_do_not_depend_on_what_else_is_in_the_batch(graphs: tuple[onnx.ModelProto, onnx.ModelProto]) -> None:
    session = ort.InferenceSession(graphs[1].SerializeToString(), providers=["CPUExecutionProvider"])
    model, same = tiny_model(session, 3, ROOM), [[5] * 12, [9] * 12, [20] * 12]
    alone = [model.prefill(0, [ids])[0].copy() for ids in same]
    assert model.prefill(0, same) == pytest.approx(np.array(alone), abs=1e-4)


def test_the_graph_can_be_written_and_read(graphs: tuple[onnx.ModelProto, onnx.ModelProto], tmp_path: Path) -> None:
    onnx.save(graphs[1], tmp_path / "model.int8.onnx")
    assert onnx.load(tmp_path / "model.int8.onnx") == graphs[1]
