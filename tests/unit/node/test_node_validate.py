import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from autoglm_api import names
from autoglm_api.spec import Backend, Precision
from autoglm_node import termination, triton_server, validate
from autoglm_node.artifact import built_precision
from autoglm_node.failure import FatalError
from autoglm_node.phases import Phase
from autoglm_node.settings import TritonPorts, from_arguments
from autoglm_node.validate import has_bf16, validated
from autoglm_shop.artifact import seal
from support.node_artifacts import engine_spec, write_artifact


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_artifact(tmp_path_factory.mktemp("artifact") / "model")


@pytest.fixture
def world(artifact: Path, tmp_path: Path) -> Path:
    """A directory with a good model, a Triton installation of empty files, and a good spec."""
    model = tmp_path / "model"
    model.mkdir()
    for file in artifact.iterdir():
        (model / file.name).write_bytes(file.read_bytes())
    (tmp_path / "triton" / "bin").mkdir(parents=True)
    (tmp_path / "triton" / "bin" / "tritonserver").touch()
    (tmp_path / "triton" / "backends" / "python").mkdir(parents=True)
    spec_with(tmp_path)
    return tmp_path


def spec_with(world: Path, **changes: object) -> None:
    (world / "engine.json").write_text(json.dumps(engine_spec(world / "model", **changes).to_json()))


def failure(world: Path) -> FatalError:
    with pytest.raises(FatalError) as failed:
        validated(world / "engine.json", world / "triton")
    return failed.value


def test_a_good_world(world: Path) -> None:
    assert validated(world / "engine.json", world / "triton").model_name == "glm-test"


def test_an_image_without_the_backend_s_package_is_told_so(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(validate.PACKAGES, Backend.PYTORCH, ("a_torch_of_nobody",))
    spec_with(world, backend="PyTorch")
    failed = failure(world)
    assert failed.exit_code == names.EXIT_BAD_REPOSITORY
    assert "package a_torch_of_nobody is not installed" in failed.message


BREAKS: list[tuple[Callable[[Path], object], int, str]] = [
    (lambda w: (w / "engine.json").unlink(), names.EXIT_BAD_SPEC, "cannot be read"),
    (lambda w: (w / "engine.json").write_text("{}"), names.EXIT_BAD_SPEC, "Field required"),
    (lambda w: spec_with(w, max_sequence_tokens=9999), names.EXIT_BAD_SPEC, "was made for 512"),
    (lambda w: spec_with(w, precision="BF16"), names.EXIT_BAD_SPEC, "no BF16 on a CPU; set precision to FP32 or INT8"),
    (lambda w: spec_with(w, precision="INT8"), names.EXIT_BAD_REPOSITORY, "lacks model.int8.onnx"),
    (lambda w: spec_with(w, backend="TensorRTLLM"), names.EXIT_BAD_SPEC, "needs at least one GPU"),
    (lambda w: spec_with(w, backend="TensorRTLLM", gpus=1), names.EXIT_BAD_REPOSITORY, "no backend 'tensorrtllm'"),
    (lambda w: spec_with(w, model_path="/nowhere"), names.EXIT_BAD_REPOSITORY, "/nowhere does not exist"),
    (lambda w: (w / "triton/bin/tritonserver").unlink(), names.EXIT_BAD_REPOSITORY, "image lacks Triton"),
    (lambda w: (w / "model/chat.json").unlink(), names.EXIT_BAD_REPOSITORY, "lacks chat.json"),
    (lambda w: (w / "model/model.onnx").write_bytes(b"x"), names.EXIT_BAD_REPOSITORY, "says sha256"),
    (lambda w: (w / "model/manifest.json").write_text("[]"), names.EXIT_BAD_REPOSITORY, "is no JSON object"),
    (lambda w: (w / "model/manifest.json").write_text("{}"), names.EXIT_BAD_REPOSITORY, "has no `files`"),
]


@pytest.mark.parametrize(("break_it", "code", "sentence"), BREAKS, ids=[sentence for _, _, sentence in BREAKS])
def test_a_bad_world_gets_a_code_and_a_sentence(
    world: Path, break_it: Callable[[Path], object], code: int, sentence: str
) -> None:
    break_it(world)
    failed = failure(world)
    assert failed.exit_code == code
    assert sentence in failed.message


@pytest.mark.parametrize(
    ("text", "known"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("flags\t\t: fpu amx_bf16 amx_tile\n", True),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("flags\t\t: fpu avx512f avx512_vnni\n", False),
        ("model name\t: avx512_bf16\n", False),
        ("", False),
    ],
)
def test_a_cpu_says_whether_it_works_in_bf16(tmp_path: Path, text: str, *, known: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    assert has_bf16(tmp_path / "cpuinfo") is known


def test_a_cpu_that_says_nothing_has_no_bf16(tmp_path: Path) -> None:
    assert not has_bf16(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        ({"dtype": "bfloat16"}, Precision.BF16),
        ({"dtype": "float16", "quantization": {"quant_algo": None}}, Precision.FP16),
        ({"dtype": "bfloat16", "quantization": {"quant_algo": "FP8"}}, Precision.FP8),
        ({"dtype": "float16", "quantization": {"quant_algo": "W8A8_SQ_PER_CHANNEL"}}, Precision.INT8),
        ({"dtype": "float16", "quantization": {"quant_algo": "W4A16_AWQ"}}, Precision.INT4),
        ({"dtype": "float16", "quantization": {"quant_algo": "NVFP4"}}, None),
        ({}, None),
    ],
)
def test_an_engine_says_what_it_was_built_for(
    tmp_path: Path, model: dict[str, object], precision: Precision | None
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"pretrained_config": model}))
    assert built_precision(tmp_path) is precision


def test_a_model_that_is_no_engine_was_built_for_nothing(world: Path) -> None:
    assert built_precision(world / "model") is None


@pytest.fixture
def gpu_world(world: Path) -> Path:
    """The good world with an FP8 engine of TensorRT-LLM."""
    (world / "triton" / "backends" / "tensorrtllm").mkdir()
    (world / "model" / "rank0.engine").write_bytes(b"e")
    (world / "model" / "config.json").write_text(
        json.dumps({"pretrained_config": {"dtype": "bfloat16", "quantization": {"quant_algo": "FP8"}}})
    )
    seal(world / "model")
    return world


@pytest.mark.parametrize("precision", [None, "FP8"])
def test_a_gpu_engine_of_the_asked_precision_starts(gpu_world: Path, precision: str | None) -> None:
    spec_with(gpu_world, backend="TensorRTLLM", gpus=1, precision=precision)
    assert validated(gpu_world / "engine.json", gpu_world / "triton").gpus == 1


def test_a_gpu_engine_of_another_precision_does_not(gpu_world: Path) -> None:
    spec_with(gpu_world, backend="TensorRTLLM", gpus=1, precision="INT4")
    failed = failure(gpu_world)
    assert failed.exit_code == names.EXIT_BAD_SPEC
    assert "precision is INT4, but the engine of model glm-test was built for FP8" in failed.message


def test_the_termination_message_is_one_line_of_json(tmp_path: Path) -> None:
    path = tmp_path / "termination-log"
    termination.write(path, FatalError(Phase.START, "ModelNotLoaded", "x" * 5000, 4))
    told = json.loads(path.read_text())
    assert (told["phase"], told["reason"], len(told["message"])) == ("Start", "ModelNotLoaded", 1024)
    assert path.read_text().count("\n") == 1


def test_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AUTOGLM_TRITON_DIR", "/t")
    settings = from_arguments(["--spec", "s.json", "--port", "1", "--triton-ports", "2", "3", "4"])
    assert (settings.spec, settings.triton_dir, settings.port) == (Path("s.json"), Path("/t"), 1)
    assert settings.triton == TritonPorts(2, 3, 4)
    assert from_arguments([]).spec == Path(names.NODE_SPEC_PATH)


def test_triton_listens_on_loopback_only() -> None:
    spec = engine_spec(Path("/m"))
    command = triton_server.command_for(spec, Path("/t"), Path("/b"), Path("/r"), TritonPorts(1, 2, 3), "shm_")
    addresses = [flag for flag in command if "-address=" in flag]
    assert len(addresses) == 3
    assert all(flag.endswith("=127.0.0.1") for flag in addresses)
    assert "--backend-config=python,shm-region-prefix-name=shm_" in command


def test_our_python_comes_first() -> None:
    environment = triton_server.environment_for(Path("/t"), {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/x", "A": "b"})
    assert environment["LD_LIBRARY_PATH"].endswith("/t/lib:/x")
    assert environment["PATH"].endswith(":/usr/bin")
    assert environment["A"] == "b"


@pytest.mark.parametrize(("user", "copied"), [(0, False), (os.geteuid(), False), (65532, True)])
def test_a_backend_of_somebody_else_is_copied(
    world: Path, monkeypatch: pytest.MonkeyPatch, user: int, *, copied: bool
) -> None:
    (world / "triton" / "backends" / "python" / "stub").touch(mode=0o755)
    monkeypatch.setattr(os, "geteuid", lambda: user)
    backends = triton_server.backends_for(engine_spec(world / "model"), world / "triton", world / "work")
    assert (backends == world / "work" / "backends") == copied
    assert os.access(backends / "python" / "stub", os.X_OK)
