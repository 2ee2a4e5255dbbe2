"""Triton's model repository extension, as far as a worker can speak it: its one model belongs to the operator. Pure.

| asked | answer |
|---|---|
| index | the model, READY or UNAVAILABLE with the reason |
| load, with no configuration or with the one that is loaded | nothing is done; 503 while the model is not ready |
| load with another configuration, or with files | 400 |
| unload | 400 |

So tools that load before they measure find the model loaded, and nobody takes it away from the others.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from google.protobuf import json_format
from tritonclient.grpc import model_config_pb2

from autoglm_node import inference_protocol as oip
from autoglm_node.failure import RefusalError

CONFIG: Final = "config"
"""Parameter of a load that carries a configuration as JSON."""
_OWNER: Final = "the model of this worker belongs to the operator; change the AutoGLMDeployment"


def config_of(described: Mapping[str, Any]) -> Any:
    """Return a description of a model as a Triton configuration: what a client may send, not how it is run."""
    config = model_config_pb2.ModelConfig(name=described["name"], platform=described["platform"])
    for field in ("inputs", "outputs"):
        listed = getattr(config, field.removesuffix("s"))
        for one in described[field]:
            kind = "STRING" if one["datatype"] == "BYTES" else one["datatype"]
            added = listed.add(name=one["name"], data_type=f"TYPE_{kind}", dims=one["shape"])
            if field == "inputs" and one["name"] != oip.TEXT_INPUT:
                added.optional = True
    return config


def config_json(config: Any) -> bytes:
    """Return a configuration as GET /v2/models/MODEL/config gives it."""
    return orjson.dumps(json_format.MessageToDict(config, preserving_proto_field_name=True))


def index(model: str, state: tuple[bool, str], *, only_ready: bool) -> list[dict[str, str]]:
    """Return what the repository holds; `state` is whether the model is ready, and a sentence."""
    ready, why = state
    if only_ready and not ready:
        return []
    known = {"name": model, "version": oip.MODEL_VERSION}
    return [{**known, "state": "READY"} if ready else {**known, "state": "UNAVAILABLE", "reason": why}]


def check_load(config: Any, parameters: Mapping[str, Any], state: tuple[bool, str]) -> None:
    """Return when the model is loaded already, with the configuration that is asked for.

    Raises:
        RefusalError: 400, another configuration or files are wanted; 503, the model is not ready.
    """
    for name, value in parameters.items():
        if name != CONFIG or not _is_loaded(config, value):
            raise RefusalError(400, f"load with {name[:100]!r}: {_OWNER}", code="model_is_managed", param=name)
    ready, why = state
    if not ready:
        raise RefusalError(503, why, code="not_ready")


def refuse_unload() -> None:
    """Say why a model is not unloaded."""
    raise RefusalError(400, f"unload: {_OWNER}", code="model_is_managed")


def _is_loaded(config: Any, wanted: Any) -> bool:
    if not isinstance(wanted, str):
        return False
    try:
        return bool(json_format.Parse(wanted, model_config_pb2.ModelConfig()) == config)
    except json_format.ParseError:
        return False
