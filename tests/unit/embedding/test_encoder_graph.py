"""The graph against the same network written out in numpy; and what cannot be turned into one."""

import math
from pathlib import Path

import numpy as np
import pytest

from autoglm_encoder.make import make
from autoglm_encoder.weights import read_safetensors
from autoglm_node.artifact import ArtifactError
from autoglm_node.embedding.encoder import Encoder, load
from support.encoder_artifacts import HEADS, HIDDEN, LAYERS, VOCABULARY, published, random_weights, write_encoder

TEXTS = [(2, 4, 5, 3), (2, 6, 3), (2, *[7, 8, 9] * 10, 3)]
_ERF = np.vectorize(math.erf)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return load(write_encoder(tmp_path_factory.mktemp("model") / "encoder"), threads=1)


def linear(x: np.ndarray, weights: dict[str, np.ndarray], part: str) -> np.ndarray:
    product: np.ndarray = x @ weights[f"{part}.weight"].T + weights[f"{part}.bias"]
    return product


def norm(x: np.ndarray, weights: dict[str, np.ndarray], part: str) -> np.ndarray:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
    normed: np.ndarray = scaled * weights[f"{part}.weight"] + weights[f"{part}.bias"]
    return normed


def attended(x: np.ndarray, weights: dict[str, np.ndarray], part: str) -> np.ndarray:
    heads = [
        linear(x, weights, f"{part}.self.{name}").reshape(len(x), HEADS, -1).swapaxes(0, 1)
        for name in ("query", "key", "value")
    ]
    scores = heads[0] @ heads[1].swapaxes(1, 2) / math.sqrt(HIDDEN / HEADS)
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (shares / shares.sum(-1, keepdims=True)) @ heads[2]
    return linear(mixed.swapaxes(0, 1).reshape(len(x), HIDDEN), weights, f"{part}.output.dense")


def states(ids: tuple[int, ...]) -> np.ndarray:
    """The last layer's states of one text by BERT's own definition."""
    weights = random_weights()
    places, kinds = (weights[f"embeddings.{name}_embeddings.weight"] for name in ("position", "token_type"))
    x = weights["embeddings.word_embeddings.weight"][list(ids)] + places[: len(ids)] + kinds[0]
    x = norm(x, weights, "embeddings.LayerNorm")
    for layer in (f"encoder.layer.{number}" for number in range(LAYERS)):
        x = norm(x + attended(x, weights, f"{layer}.attention"), weights, f"{layer}.attention.output.LayerNorm")
        inner = linear(x, weights, f"{layer}.intermediate.dense")
        active = inner * 0.5 * (1 + _ERF(inner / math.sqrt(2)))
        x = norm(x + linear(active, weights, f"{layer}.output.dense"), weights, f"{layer}.output.LayerNorm")
    return x


def test_the_graph_is_bert(encoder: Encoder) -> None:
    means = [states(ids).mean(0) for ids in TEXTS]
    wanted = np.stack([mean / np.linalg.norm(mean) for mean in means])
    assert np.abs(encoder.encode(TEXTS) - wanted).max() < 1e-5
    assert encoder.dimensions == HIDDEN


def test_a_text_has_one_vector_whatever_is_read_with_it(encoder: Encoder) -> None:
    together = encoder.encode(TEXTS)
    for row, ids in enumerate(TEXTS):
        assert np.abs(encoder.encode([ids])[0] - together[row]).max() < 1e-5


def test_other_ways_to_pool(tmp_path: Path) -> None:
    first = load(write_encoder(tmp_path / "first", pooling="cls_token", unit_length=False), threads=1)
    assert np.abs(first.encode([TEXTS[0]])[0] - states(TEXTS[0])[0]).max() < 1e-5


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"kind": "roberta"}, "only BERT encoders are known here"),
        ({"pooling": "max_tokens"}, "pooling .*max_tokens.* is not known here"),
    ],
)
def test_what_is_no_such_encoder_is_refused(tmp_path: Path, changes: dict[str, str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        make(published(tmp_path / "model", **changes), tmp_path / "out")  # type: ignore[arg-type]


def test_weights_are_read_as_they_were_written(tmp_path: Path) -> None:
    read = read_safetensors(published(tmp_path / "model") / "model.safetensors")
    written = random_weights()
    assert set(read) == set(written)
    assert read["embeddings.word_embeddings.weight"].shape == (VOCABULARY, HIDDEN)
    assert all(np.array_equal(read[name], written[name]) for name in written)


def test_a_type_that_is_not_read_is_named(tmp_path: Path) -> None:
    header = b'{"w": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}'
    (tmp_path / "w").write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(ValueError, match="type F8_E4M3 is not read"):
        read_safetensors(tmp_path / "w")


def test_a_damaged_artefact_is_refused(tmp_path: Path) -> None:
    artefact = write_encoder(tmp_path / "encoder")
    (artefact / "encoder.json").write_text("{}")
    with pytest.raises(ArtifactError, match=r"encoder.json: manifest.json says sha256"):
        load(artefact, threads=1)
