"""What Triton is told of an embedding model, and that what is sent fits it."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from autoglm_api.config import EngineSpec
from autoglm_api.spec import Backend, Batching, Bucket
from autoglm_node import repository
from autoglm_node.embedding.client import VectorClient
from autoglm_node.embedding.repository import buckets_of, edge_of
from autoglm_node.failure import EngineError
from support.encoder_artifacts import HIDDEN, encoder_spec, write_encoder

BUCKETS = Batching(buckets=[Bucket(max_tokens=16, max_batch_size=32), Bucket(max_tokens=512, max_batch_size=8)])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("model") / "encoder")


def spec_for(model: Path, backend: Backend) -> EngineSpec:
    gpus = 2 if backend is Backend.TENSORRT else 0
    return encoder_spec(model, backend=backend, gpus=gpus, batching=BUCKETS.to_json())


def written(root: Path, model: Path, backend: Backend) -> pb.ModelConfig:
    path = repository.write(root, spec_for(model, backend), 3) / "encoder-test" / "config.pbtxt"
    return text_format.Parse(path.read_text(), pb.ModelConfig())


def test_the_cpu_engine(tmp_path: Path, model: Path) -> None:
    config = written(tmp_path, model, Backend.ONNX_RUNTIME)
    assert (config.backend, config.max_batch_size, config.model_transaction_policy.decoupled) == ("python", 0, True)
    assert config.parameters["artifact_dir"].string_value == str(model)
    assert config.parameters["threads"].string_value == "3"
    assert Batching.model_validate_json(config.parameters["batching"].string_value) == BUCKETS
    assert list(config.output[0].dims) == [-1, HIDDEN]
    code = (tmp_path / "repository" / "encoder-test" / "1" / "model.py").read_text()
    assert "autoglm_node.embedding.triton_model" in code


def test_tensorrt_has_a_profile_for_each_bucket_on_each_gpu(tmp_path: Path, model: Path) -> None:
    config = written(tmp_path, model, Backend.TENSORRT)
    assert (config.backend, config.max_batch_size) == ("tensorrt", 32)
    assert [(list(one.gpus), list(one.profile)) for one in config.instance_group] == [
        ([0], ["0", "1"]),
        ([1], ["0", "1"]),
    ]
    assert all(one.kind == pb.ModelInstanceGroup.KIND_GPU for one in config.instance_group)
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 32]
    assert config.dynamic_batching.max_queue_delay_microseconds == 2000
    plan = tmp_path / "repository" / "encoder-test" / "1" / "model.plan"
    assert plan.readlink() == model / "model.plan"


@pytest.mark.parametrize("backend", [Backend.ONNX_RUNTIME, Backend.TENSORRT])
def test_writing_again_changes_nothing(tmp_path: Path, model: Path, backend: Backend) -> None:
    assert written(tmp_path, model, backend) == written(tmp_path, model, backend)


def test_buckets_end_where_the_model_does(model: Path) -> None:
    listed = buckets_of(spec_for(model, Backend.TENSORRT))
    assert [(one.max_tokens, one.max_batch_size) for one in listed] == [(16, 32), (64, 8)]
    assert [edge_of(tokens, listed) for tokens in (1, 16, 17, 64)] == [16, 16, 64, 64]


@pytest.mark.parametrize(("longest", "edges"), [(8, [8]), (16, [16]), (17, [16, 17]), (9000, [16, 9000])])
def test_a_shorter_or_longer_model_bends_the_last_bucket(model: Path, longest: int, edges: list[int]) -> None:
    spec = spec_for(model, Backend.TENSORRT).model_copy(update={"max_sequence_tokens": longest})
    assert [one.max_tokens for one in buckets_of(spec)] == edges


class Scripted(VectorClient):
    """Notes what is sent; answers each request with as many vectors as it has texts."""

    def __init__(self, spec: EngineSpec) -> None:
        super().__init__("127.0.0.1:1", spec.model_name, spec.backend, buckets_of(spec))
        self.sent: list[dict[str, list[int]]] = []
        self.names = ["embedding"]

    async def responses(self, inputs):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201
        shapes = {one.name(): one.shape() for one in inputs}
        self.sent.append(shapes)
        texts = shapes.get("lengths", [1])[0]
        for name in self.names:
            yield {name: np.full((texts, 2), len(self.sent), np.float32)}


async def test_the_cpu_engine_gets_all_texts_at_once(model: Path) -> None:
    client = Scripted(spec_for(model, Backend.ONNX_RUNTIME))
    vectors = await client.embed([(1, 2, 3), (4,)])
    assert client.sent == [{"input_ids": [4], "lengths": [2]}]
    assert vectors.shape == (2, 2)
    await client.close()


async def test_tensorrt_gets_each_text_as_long_as_its_bucket(model: Path) -> None:
    client = Scripted(spec_for(model, Backend.TENSORRT))
    vectors = await client.embed([(1, 2, 3), (4,) * 20])
    assert client.sent == [{"input_ids": [1, edge], "attention_mask": [1, edge]} for edge in (16, 64)]
    assert vectors.tolist() == [[1, 1], [2, 2]], "in the order of the texts"
    await client.close()


@pytest.mark.parametrize(("names", "said"), [(["other"], "has no embedding"), ([], "ended without an answer")])
async def test_an_answer_that_is_none_is_an_engine_error(model: Path, names: list[str], said: str) -> None:
    client = Scripted(spec_for(model, Backend.ONNX_RUNTIME))
    client.names = names
    with pytest.raises(EngineError, match=said):
        await client.embed([(1,)])
    await client.close()
