"""The TensorRT configuration of an embedding model in the real Triton, with the Python backend in TensorRT's place."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton
from google.protobuf import json_format

from autoglm_api.config import EngineSpec
from autoglm_api.spec import Backend, Batching, Bucket
from autoglm_node import repository
from autoglm_node.embedding.client import VectorClient
from autoglm_node.embedding.repository import buckets_of
from support.encoder_artifacts import HIDDEN, encoder_spec, write_encoder
from support.stand_in import stand_in

BUCKETS = Batching(buckets=[Bucket(max_tokens=8, max_batch_size=16), Bucket(max_tokens=64, max_batch_size=4)])
# Each vector: the sum of the text's tokens, their number, the padded length.
MODEL = f"""
import numpy as np
import triton_python_backend_utils as pb
from autoglm_node.engine.triton_tensor import tensor


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        given = (pb.get_input_tensor_by_name(request, name) for name in ("input_ids", "attention_mask"))
        ids, mask = map(np.from_dlpack, given)
        found = np.zeros((len(ids), {HIDDEN}), np.float32)
        found[:, 0], found[:, 1], found[:, 2] = (ids * mask).sum(1), mask.sum(1), ids.shape[1]
        return pb.InferenceResponse([tensor("embedding", found)])
"""


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> EngineSpec:
    model = write_encoder(tmp_path_factory.mktemp("model") / "encoder")
    return encoder_spec(model, backend="TensorRT", gpus=1, batching=BUCKETS.to_json())


@pytest.fixture(scope="module")
def address(spec: EngineSpec, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    root = tmp_path_factory.mktemp("triton")
    model = repository.write(root, spec, 1) / "encoder-test"
    text = (model / "config.pbtxt").read_text().replace('backend: "tensorrt"', 'backend: "python"')
    # This machine has no GPU; everything else stays.
    text = text.replace("KIND_GPU", "KIND_CPU").replace("  gpus: 0\n", "")
    (model / "config.pbtxt").write_text(text)
    Path(spec.model_path, "model.plan").touch()
    (model / "1" / "model.py").write_text(MODEL)
    with stand_in(root, spec) as running:
        yield running


def test_triton_takes_the_configuration_as_it_is(spec: EngineSpec, address: str) -> None:
    with triton.InferenceServerClient(address) as client:
        theirs = json_format.MessageToDict(client.get_model_config("encoder-test").config)
    ours = json_format.MessageToDict(repository.config_for(spec, 1))
    for field in ("name", "maxBatchSize", "input", "output"):
        assert _within(ours[field], theirs[field]), field
    assert _within(ours["dynamicBatching"], theirs["dynamicBatching"])
    assert theirs["instanceGroup"][0]["profile"] == ["0", "1"]


async def test_every_text_is_padded_to_its_bucket_and_comes_back_in_order(spec: EngineSpec, address: str) -> None:
    client = VectorClient(address, spec.model_name, Backend.TENSORRT, buckets_of(spec))
    texts = [tuple(range(1, 1 + length)) for length in (3, 8, 9, 64, 1)]
    try:
        vectors = await client.embed(texts)
    finally:
        await client.close()
    wanted = [[sum(ids), len(ids), 8 if len(ids) <= 8 else 64] for ids in texts]
    assert vectors[:, :3].tolist() == np.array(wanted, dtype=np.float32).tolist()


def _within(ours: object, theirs: object) -> bool:
    """Whether everything that we wrote is there; Triton adds defaults."""
    match ours:
        case dict():
            return isinstance(theirs, dict) and all(_within(value, theirs.get(name)) for name, value in ours.items())
        case list():
            return isinstance(theirs, list) and len(ours) == len(theirs) and all(map(_within, ours, theirs))
        case _:
            return ours == theirs


def test_the_plan_lies_where_triton_looks(spec: EngineSpec, tmp_path: Path) -> None:
    plan = repository.write(tmp_path, spec, 1) / "encoder-test" / "1" / "model.plan"
    assert re.fullmatch(r".*/encoder/model\.plan", str(plan.readlink()))
