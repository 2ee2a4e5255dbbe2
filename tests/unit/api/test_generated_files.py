"""What is generated: structural schema, reference pages, and that the committed files are up to date."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autoglm_api import generate, names, reference
from autoglm_api.crd import custom_resource_definition, pool_scale_definition, structural
from support.manifests import REPOSITORY

SCHEMAS = [
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    for definition in (custom_resource_definition(), pool_scale_definition())
]


def _nodes(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every field's schema by its path."""
    yield path, schema
    for name, child in schema.get("properties", {}).items():
        yield from _nodes(child, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            yield from _nodes(schema[key], f"{path}[]")


FIELDS = {
    f"{number}{path}": node
    for number, schema in enumerate(SCHEMAS)
    for path, node in _nodes(schema)
    if path.startswith((".spec", ".status"))
}


def test_committed_files_are_up_to_date() -> None:
    assert generate.drifted(REPOSITORY) == []


def test_a_differing_or_absent_file_is_named(tmp_path: Path) -> None:
    generate.write(tmp_path)
    assert generate.drifted(tmp_path) == []
    (tmp_path / "crds" / "autoglm.dev_autoglmdeployments.yaml").write_text("changed")
    (tmp_path / "docs" / "reference" / "chart.md").unlink()
    assert generate.drifted(tmp_path) == ["crds/autoglm.dev_autoglmdeployments.yaml", "docs/reference/chart.md"]


def test_every_field_has_a_type_and_named_fields_a_description() -> None:
    untyped = [path for path, node in FIELDS.items() if not {"type", "x-kubernetes-int-or-string"} & node.keys()]
    silent = [path for path, node in FIELDS.items() if not path.endswith("[]") and not node.get("description")]
    assert (untyped, silent) == ([], [])


def test_every_field_is_bounded() -> None:
    bounds = {"string": {"maxLength", "enum"}, "array": {"maxItems"}, "integer": {"minimum"}}
    open_ended = [
        path for path, node in FIELDS.items() if not bounds.get(node.get("type", ""), {"type", "pattern"}) & node.keys()
    ]
    assert open_ended == []


def test_there_are_no_floats_and_no_nulls() -> None:
    assert not [path for path, node in FIELDS.items() if node.get("type") in {"number", "null"} or node.get("nullable")]


def test_every_list_says_how_it_merges() -> None:
    lists = {path: node for path, node in FIELDS.items() if node.get("type") == "array"}
    assert all(node.get("x-kubernetes-list-type") in {"map", "atomic", "set"} for node in lists.values())


def test_every_rule_speaks_in_a_sentence() -> None:
    rules = [rule for node in FIELDS.values() for rule in node.get("x-kubernetes-validations", [])]
    assert rules
    assert all(len(rule["message"].split()) >= 5 for rule in rules)


def test_the_definition_stays_small() -> None:
    # kubectl apply keeps a copy in an annotation, which may have 262,144 bytes.
    assert len(generate.outputs()[f"crds/{names.GROUP}_{names.PLURAL}.yaml"]) < 131_072


def test_alternatives_that_kubernetes_cannot_express_are_an_error() -> None:
    with pytest.raises(ValueError, match="cannot express the alternatives"):
        structural({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, {})


def test_defaults_carry_no_nulls() -> None:
    made = structural({"anyOf": [{"type": "object"}, {"type": "null"}], "default": {"a": None, "b": [{"c": None}]}}, {})
    assert made == {"type": "object", "default": {"b": [{}]}}


def test_the_pool_scale_has_all_three_paths_of_a_scale_subresource() -> None:
    # Without labelSelectorPath an HPA says "selector is required".
    scale = pool_scale_definition()["spec"]["versions"][0]["subresources"]["scale"]
    assert set(scale) == {"specReplicasPath", "statusReplicasPath", "labelSelectorPath"}
    paths = [path.removeprefix(".").split(".") for path in scale.values()]
    assert all(field in SCHEMAS[1]["properties"][part]["properties"] for part, field in paths)
    assert "| `status.selector` |" in reference.pool_scale_page()


def test_the_resource_page_has_bounds_defaults_and_rules() -> None:
    page = reference.resource_page()
    assert "| `spec.pools[].drainSeconds` | integer, 0 to 3600 | `300` | How long a replica" in page
    assert "| `spec.pools[].serves`* | one of `Simple`, `Complex`, `Embedding` |" in page
    assert "- no pool serves Simple: add a pool with serves: Simple\n" in page


def test_the_names_page_lists_every_metric_and_header() -> None:
    page = reference.names_page()
    listed = [value for name, value in vars(names).items() if name.startswith(("METRIC_", "HEADER_", "ENV_"))]
    assert [value for value in listed if f"`{value}`" not in page] == []
