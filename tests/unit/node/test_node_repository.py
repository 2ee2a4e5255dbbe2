from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from autoglm_api.spec import Batching
from autoglm_node import repository
from support.node_artifacts import engine_spec


def written(tmp_path: Path, **changes: object) -> pb.ModelConfig:
    spec = engine_spec(Path("/models/glm"), **changes)
    text = (repository.write(tmp_path, spec, 2) / "glm-test" / "config.pbtxt").read_text()
    config = text_format.Parse(text, pb.ModelConfig())
    assert config == repository.config_for(spec, 2, tmp_path / repository.RECLAIM_FILE)
    return config


def parameters(config: pb.ModelConfig) -> dict[str, str]:
    return {name: value.string_value for name, value in config.parameters.items()}


def test_the_cpu_engine(tmp_path: Path) -> None:
    config = written(tmp_path)
    assert (config.backend, config.max_batch_size, config.model_transaction_policy.decoupled) == ("python", 0, True)
    expected = {"artifact_dir": "/models/glm", "slots": "5", "max_sequence_tokens": "512", "threads": "2"}
    expected |= {"reclaim_file": str(tmp_path / "reclaim"), "reclaim_interval_seconds": "60"}
    expected |= {"backend": "ONNXRuntime", "precision": "FP32"}
    expected["batching"] = Batching().model_dump_json(by_alias=True)
    assert parameters(config) == expected
    assert [one.name for one in config.input if not one.optional] == ["input_ids", "max_tokens"]
    assert (tmp_path / "repository" / "glm-test" / "1" / "model.py").is_file()


@pytest.mark.parametrize(("backend", "precision"), [("ONNXRuntime", "INT8"), ("PyTorch", "BF16")])
def test_both_cpu_backends_run_in_the_python_backend(tmp_path: Path, backend: str, precision: str) -> None:
    config = written(tmp_path, backend=backend, precision=precision)
    assert config.backend == "python"
    assert (parameters(config)["backend"], parameters(config)["precision"]) == (backend, precision)
    assert (tmp_path / "repository" / "glm-test" / "1" / "model.py").is_file()


def test_tensorrt_llm(tmp_path: Path) -> None:
    config = written(tmp_path, backend="TensorRTLLM", gpus=2)
    assert (config.backend, config.max_batch_size, config.model_transaction_policy.decoupled) == (
        "tensorrtllm",
        5,
        True,
    )
    told = parameters(config)
    assert told["gpt_model_type"] == "inflight_fused_batching"
    assert told["gpt_model_path"] == "/models/glm"
    assert told["gpu_device_ids"] == "0,1"
    assert 0 < float(told["kv_cache_free_gpu_mem_fraction"]) < 1
    assert not (tmp_path / "repository" / "glm-test" / "1" / "model.py").exists()


@pytest.mark.parametrize("backend", ["ONNXRuntime", "TensorRTLLM"])
def test_writing_again_changes_nothing(tmp_path: Path, backend: str) -> None:
    assert written(tmp_path, backend=backend, gpus=1) == written(tmp_path, backend=backend, gpus=1)
