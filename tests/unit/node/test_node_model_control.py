"""What a worker says to those who want to load and unload models."""

from typing import Any

import orjson
import pytest
from google.protobuf import json_format

from autoglm_node import inference_protocol as oip
from autoglm_node import model_control
from autoglm_node.failure import RefusalError

READY = (True, "ready")
HEALING = (False, "not ready: phase Heal")
CONFIG = model_control.config_of(oip.model_description("m", "p"))


def said(**changes: Any) -> str:
    """The configuration as Model Analyzer sends it back, with changes."""
    config = json_format.Parse(model_control.config_json(CONFIG), type(CONFIG)())
    json_format.ParseDict(changes, config)
    return str(json_format.MessageToJson(config))


@pytest.mark.parametrize(
    ("state", "only_ready", "listed"),
    [
        (READY, False, [{"name": "m", "version": "1", "state": "READY"}]),
        (READY, True, [{"name": "m", "version": "1", "state": "READY"}]),
        (HEALING, False, [{"name": "m", "version": "1", "state": "UNAVAILABLE", "reason": "not ready: phase Heal"}]),
        (HEALING, True, []),
    ],
)
def test_the_index_tells_the_truth(state: tuple[bool, str], *, only_ready: bool, listed: list[dict[str, str]]) -> None:
    assert model_control.index("m", state, only_ready=only_ready) == listed


def test_a_configuration_is_what_may_be_sent() -> None:
    config = orjson.loads(model_control.config_json(CONFIG))
    inputs = {one["name"]: one for one in config["input"]}
    assert inputs["text_input"] == {"name": "text_input", "data_type": "TYPE_STRING", "dims": ["1"]}
    assert inputs["max_tokens"] == {"name": "max_tokens", "data_type": "TYPE_INT32", "dims": ["1"], "optional": True}
    assert [one["name"] for one in config["output"]] == ["text_output"]


@pytest.mark.parametrize("parameters", [{}, {"config": said()}, {"config": said().replace("\n", "")}])
def test_what_is_loaded_may_be_loaded_again(parameters: dict[str, Any]) -> None:
    model_control.check_load(CONFIG, parameters, READY)


@pytest.mark.parametrize(
    "parameters",
    [
        {"config": said(max_batch_size=8)},
        {"config": said(instance_group=[{"count": 2}])},
        {"config": "no JSON"},
        {"config": 5},
        {"file:1/model.onnx": b"AAAA"},
        {"config": said(), "file:1/model.onnx": "AAAA"},
    ],
)
def test_nothing_else_is_loaded(parameters: dict[str, Any]) -> None:
    with pytest.raises(RefusalError, match="belongs to the operator") as refused:
        model_control.check_load(CONFIG, parameters, READY)
    assert refused.value.status == 400


def test_a_model_that_is_not_ready_is_not_called_loaded() -> None:
    with pytest.raises(RefusalError, match="phase Heal") as refused:
        model_control.check_load(CONFIG, {}, HEALING)
    assert refused.value.status == 503


def test_nothing_is_unloaded() -> None:
    with pytest.raises(RefusalError, match="belongs to the operator") as refused:
        model_control.refuse_unload()
    assert refused.value.status == 400
