"""The CustomResourceDefinitions, generated from the pydantic models (written to disk by `generate`)."""

import json
from typing import Any, Final, NamedTuple

from pydantic import BaseModel

from autoglm_api import names
from autoglm_api.pool_scale import PoolScaleSpec, PoolScaleStatus
from autoglm_api.schema import cel
from autoglm_api.spec import Spec
from autoglm_api.status import Status

FILE_NAME: Final = f"{names.GROUP}_{names.PLURAL}.yaml"
SCALE_FILE_NAME: Final = f"{names.GROUP}_{names.SCALE_PLURAL}.yaml"
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

_Columns = list[tuple[str, str, str, str]]
_COLUMNS: Final[_Columns] = [
    ("Ready", "string", '.status.conditions[?(@.type=="Ready")].status', "Whether a query would be answered."),
    ("Light", "string", ".status.light", "Ready/desired replicas of the pools that serve Simple."),
    ("Large", "string", ".status.large", "Ready/desired replicas of the pools that serve Complex."),
    ("Reason", "string", '.status.conditions[?(@.type=="Ready")].reason', "Why it is or is not Ready."),
    ("Age", "date", ".metadata.creationTimestamp", "Time since creation."),
]

_OF_LABEL: Final = ".metadata.labels.{}"
_SCALE_COLUMNS: Final[_Columns] = [
    ("Deployment", "string", _OF_LABEL.format(names.LABEL_DEPLOYMENT.replace(".", r"\.")), "Whose pool it sizes."),
    ("Pool", "string", _OF_LABEL.format(names.LABEL_POOL.replace(".", r"\.")), "The pool."),
    ("Asked", "integer", ".spec.replicas", "Size that is asked for."),
    ("Replicas", "integer", ".status.replicas", "Worker pods that exist."),
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


class _Kind(NamedTuple):
    """How a kind is called."""

    kind: str
    plural: str
    singular: str
    short: str


def custom_resource_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of AutoGLMDeployment as a JSON object."""
    schema = _root_schema(
        "A language-model service: pools of GPU workers, a gateway that routes by complexity, scaling.", Spec, Status
    )
    return _definition(
        _Kind(names.KIND, names.PLURAL, names.SINGULAR, names.SHORT_NAME),
        _COLUMNS,
        {"status": {}},
        {**schema, "x-kubernetes-validations": _ROOT_RULES},
    )


_SCALE_SUBRESOURCE: Final = {
    "specReplicasPath": ".spec.replicas",
    "statusReplicasPath": ".status.replicas",
    "labelSelectorPath": ".status.selector",
}


def pool_scale_definition() -> dict[str, Any]:
    """Return the CustomResourceDefinition of AutoGLMPoolScale as a JSON object."""
    return _definition(
        _Kind(names.SCALE_KIND, names.SCALE_PLURAL, names.SCALE_SINGULAR, names.SCALE_SHORT_NAME),
        _SCALE_COLUMNS,
        {"status": {}, "scale": _SCALE_SUBRESOURCE},
        _root_schema(
            "The size of one pool in mode External. The operator makes it; an HPA, KEDA or `kubectl scale` writes it.",
            PoolScaleSpec,
            PoolScaleStatus,
        ),
    )


def definitions() -> dict[str, dict[str, Any]]:
    """Return every CustomResourceDefinition by the name of its file."""
    return {FILE_NAME: custom_resource_definition(), SCALE_FILE_NAME: pool_scale_definition()}


def _definition(kind: _Kind, columns: _Columns, subresources: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    version = {
        "name": names.VERSION,
        "served": True,
        "storage": True,
        "additionalPrinterColumns": [
            {"name": name, "type": form, "jsonPath": path, "description": description}
            for name, form, path, description in columns
        ],
        "subresources": subresources,
        "schema": {"openAPIV3Schema": schema},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{kind.plural}.{names.GROUP}"},
        "spec": {
            "group": names.GROUP,
            "names": {
                "kind": kind.kind,
                "listKind": f"{kind.kind}List",
                "plural": kind.plural,
                "singular": kind.singular,
                "shortNames": [kind.short],
                "categories": [names.CATEGORY],
            },
            "scope": "Namespaced",
            "versions": [version],
        },
    }


def _root_schema(description: str, spec: type[BaseModel], status: type[BaseModel]) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "required": ["spec"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"type": "object"},
            "spec": schema_of(spec),
            "status": schema_of(status),
        },
    }


def rendered(definition: dict[str, Any]) -> str:
    """Return a CRD as the text of a YAML file (JSON is YAML; two spaces keep it readable and reviewable)."""
    header = "# GENERATED by `make crds` from api/autoglm_api; do not edit.\n"
    return header + json.dumps(definition, indent=2) + "\n"
