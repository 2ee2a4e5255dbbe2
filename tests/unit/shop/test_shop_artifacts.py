"""The committed models: intact, small, made for this task, and as good as their evaluation says."""

import json
from pathlib import Path

import pytest

from autoglm_api.spec import Backend, Precision
from autoglm_node import artifact as node_artifact
from autoglm_shop import artifact
from autoglm_shop.chat import SEED, trained_tokenizer
from autoglm_shop.evaluate import INT8, answer, held_out
from autoglm_shop.task import Kind, score

MEGABYTES = {"light": 2, "large": 7}


@pytest.fixture(params=MEGABYTES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def accuracy(name: str, kind: Kind) -> float:
    evaluation = json.loads((artifact.directory_of(name) / "evaluation.json").read_bytes())
    figures = evaluation["kinds"][kind]
    assert figures["n"] >= 500
    return float(figures["accuracy"])


@pytest.mark.parametrize("precision", [Precision.FP32, Precision.INT8])
def test_every_file_is_what_the_manifest_says(name: str, precision: Precision) -> None:
    node_artifact.check(artifact.directory_of(name), Backend.ONNX_RUNTIME, precision)


def test_a_model_is_small(name: str) -> None:
    size = sum(path.stat().st_size for path in artifact.directory_of(name).iterdir())
    assert size < MEGABYTES[name] * 1_000_000


def test_the_tokeniser_is_the_recipes(name: str, tmp_path: Path) -> None:
    trained_tokenizer(SEED).save(str(tmp_path / "tokenizer.json"), pretty=False)
    stored = (artifact.directory_of(name) / "tokenizer.json").read_bytes()
    assert stored == (tmp_path / "tokenizer.json").read_bytes()


def test_both_models_look_things_up(name: str) -> None:
    assert accuracy(name, Kind.SIMPLE) >= 0.9


def test_the_large_model_earns_its_cost_on_complex_queries() -> None:
    large, light = accuracy("large", Kind.COMPLEX), accuracy("light", Kind.COMPLEX)
    assert large >= 0.6
    assert large - light >= 0.3


@pytest.mark.parametrize("kind", Kind)
def test_int8_is_as_right_as_fp32(name: str, kind: Kind) -> None:
    figures = json.loads((artifact.directory_of(name) / "evaluation.json").read_bytes())["int8"][kind]
    assert figures["n"] >= 500
    assert figures["accuracy"] >= figures["accuracy_fp32"] - 0.015


def test_int8_replies_are_the_same_in_every_batch(name: str) -> None:
    queries = held_out(Kind.COMPLEX, 24)
    directory = artifact.directory_of(name)
    alone = answer(directory, queries, slots=1, runs=INT8)
    assert answer(directory, queries, slots=12, runs=INT8).texts == alone.texts


@pytest.mark.parametrize("kind", Kind)
def test_the_evaluation_repeats(name: str, kind: Kind) -> None:
    queries = held_out(kind, 40)
    replies = answer(artifact.directory_of(name), queries)
    share = sum(map(score, queries, replies.texts)) / len(queries)
    assert share == pytest.approx(accuracy(name, kind), abs=0.2)
