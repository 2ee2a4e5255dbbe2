"""The CustomResourceDefinition, generated from the pydantic models (written to disk by `generate`)."""

import json
from typing import Any, Final

from pydantic import BaseModel

from autoglm_api import names
from autoglm_api.schema import cel
from autoglm_api.spec import Spec
from autoglm_api.status import Status

FILE_NAME: Final = f"{names.GROUP}_{names.PLURAL}.yaml"
MAX_NAME: Final = 50
_DROPPED: Final = {"title", "$defs"}

_ROOT_RULES: Final = [
    cel(
        f"self.metadata.name.size() <= {MAX_NAME} && self.metadata.name.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",
        f"metadata.name names Services: use at most {MAX_NAME} lower-case letters, digits and '-', with no dot",
        None,
    ),
    cel(
        "self.spec.pools.all(p, p.model.name != self.metadata.name)",
        "a pool's model.name equals metadata.name, which clients use to be routed by complexity: rename the model",
        ".spec.pools",
    ),
]

_COLUMNS: Final = [
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether a query would be answered."),
    ("Light", "string", ".status.light", "Ready/desired replicas of the pools that serve Simple."),
    ("Large", "string", ".status.large", "Ready/desired replicas of the pools that serve Complex."),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not Ready."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since creation."),
]


def structural(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """Turn pydantic's JSON schema into a structural one: no references, no null alternatives, no titles."""
    if "$ref" in schema:
        target = definitions[schema["$ref"].rsplit("/", 1)[-1]]
        return structural({**target, **{key: value for key, value in schema.items() if key != "$ref"}}, definitions)
    if "x-kubernetes-int-or-string" in schema:
        return _kept(schema, without=("anyOf", "type"))
    if "anyOf" in schema:
        return structural({**_kept(schema, without=("anyOf",)), **_one_alternative(schema["anyOf"])}, definitions)
    return _with_children(_kept(schema), definitions)


def _kept(schema: dict[str, Any], without: tuple[str, ...] = ()) -> dict[str, Any]:
    kept = {key: value for key, value in schema.items() if key not in {*_DROPPED, *without}}
    if kept.get("default", ...) is None:
        del kept["default"]
    elif "default" in kept:
        kept["default"] = _without_nulls(kept["default"])
    return kept


def _without_nulls(value: Any) -> Any:
    """Return a default without its absent parts: Kubernetes refuses null where a type is given."""
    if isinstance(value, dict):
        return {key: _without_nulls(child) for key, child in value.items() if child is not None}
    if isinstance(value, list):
        return [_without_nulls(child) for child in value]
    return value


def _one_alternative(alternatives: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the alternative beside null; Kubernetes says 'optional' by absence."""
    real = [alternative for alternative in alternatives if alternative.get("type") != "null"]
    if len(real) != 1:
        raise ValueError(f"a structural schema cannot express the alternatives {alternatives}")
    return real[0]


def _with_children(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    if "properties" in schema:
        schema["properties"] = {name: structural(child, definitions) for name, child in schema["properties"].items()}
        schema.pop("additionalProperties", None)  # unknown fields are pruned, or refused by strict validation
    elif isinstance(schema.get("additionalProperties"), dict):
        schema["additionalProperties"] = structural(schema["additionalProperties"], definitions)
    if "items" in schema:
        schema["items"] = structural(schema["items"], definitions)
    if schema.get("type") == "integer":
        schema.setdefault("format", "int64")
    return schema


def schema_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the structural schema of one model."""
    written = model.model_json_schema(by_alias=True, mode="validation")
    return structural(written, written.get("$defs", {}))


def custom_resource_definition() -> dict[str, Any]:
    """Return the whole CustomResourceDefinition as a JSON object."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": names.CRD_NAME},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": names.KIND,
                "listKind": f"{names.KIND}List",
                "plural": names.PLURAL,
                "singular": names.SINGULAR,
                "shortNames": [names.SHORT_NAME],
                "categories": [names.CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [_version()],
        },
    }


def _version() -> dict[str, Any]:
    return {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            {"name": name, "type": kind, "jsonPath": path, "description": description}
            for name, kind, path, description in _COLUMNS
        ],
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": _root_schema()},
    }


def _root_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "description": "A language-model service: pools of GPU workers, a gateway that routes by complexity, scaling.",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": schema_of(Spec),
            "status": schema_of(Status),
        },
        "x-kubernetes-validations": _ROOT_RULES,
    }


def rendered() -> str:
    """Return the CRD as the text of a YAML file (JSON is YAML; two spaces keep it readable and reviewable)."""
    header = "# GENERATED by `make crds` from api/autoglm_api; do not edit.\n"
    return header + json.dumps(custom_resource_definition(), indent=2) + "\n"
