"""What a worker asks itself before it is Ready, and what a broken artefact leads to."""

from pathlib import Path

import orjson
import pytest

from autoglm_api import names
from autoglm_api.spec import Batching, Bucket
from autoglm_node import openai, workload
from autoglm_node.embedding import openai as embeddings
from autoglm_node.failure import FatalError
from support.encoder_artifacts import encoder_spec, write_encoder
from support.node_artifacts import engine_spec, write_artifact

BUCKETS = Batching(
    buckets=[Bucket(max_tokens=16, max_batch_size=4), Bucket(max_tokens=4096, max_batch_size=2)]
).to_json()


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("text") / "model")


@pytest.fixture(scope="module")
def vector_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_encoder(tmp_path_factory.mktemp("vectors") / "model")


def test_a_text_model_is_asked_every_length_streaming_and_not(text_model: Path) -> None:
    asked = list(workload.load(engine_spec(text_model, batching=BUCKETS)).rehearsal())
    prompts = [openai.parse_completion(body) for path, body in asked if path == names.PATH_COMPLETIONS]
    assert {(len(one.prompt), one.stream) for one in prompts} == {(12, False), (12, True), (508, False), (508, True)}
    chats = [openai.parse(body) for path, body in asked if path == names.PATH_CHAT]
    assert {one.stream for one in chats} == {False, True}
    assert len({one.messages[0].content for one in chats}) == len(chats) // 2
    assert len(prompts) + len(chats) == len(asked)


def test_an_encoder_is_asked_every_length(vector_model: Path) -> None:
    asked = list(workload.load(encoder_spec(vector_model, batching=BUCKETS)).rehearsal())
    assert {path for path, _ in asked} == {names.PATH_EMBEDDINGS}
    texts = [embeddings.parse(body).query().texts for _, body in asked]
    assert {len(text) for (text,) in texts} == {1, 16, 64}


def test_a_model_for_one_token_is_still_asked(text_model: Path) -> None:
    spec = engine_spec(text_model, batching=BUCKETS, max_sequence_tokens=1)
    bodies = [orjson.loads(body) for _, body in workload.load(spec).rehearsal()]
    assert all(len(body.get("prompt", [0])) == 1 for body in bodies)
    assert {body["messages"][0]["content"] for body in bodies if "messages" in body} == {"?"}


@pytest.mark.parametrize("kind", ["text", "vectors"])
def test_a_broken_tokeniser_is_a_bad_artefact(text_model: Path, vector_model: Path, tmp_path: Path, kind: str) -> None:
    broken = tmp_path / "model"
    broken.mkdir()
    for file in (text_model if kind == "text" else vector_model).iterdir():
        (broken / file.name).write_bytes(b"{}" if file.name == "tokenizer.json" else file.read_bytes())
    with pytest.raises(FatalError, match=r"tokenizer.json.* cannot be used") as failed:
        workload.load(engine_spec(broken) if kind == "text" else encoder_spec(broken))
    assert (failed.value.reason, failed.value.exit_code) == ("BadArtifact", names.EXIT_BAD_REPOSITORY)
