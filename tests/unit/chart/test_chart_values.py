"""The chart's files against the model of its values."""

import json
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from autoglm_api import chart, names
from support.manifests import REPOSITORY

CHART = REPOSITORY / "charts" / "autoglm"


def _written() -> dict[str, Any]:
    values: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
    return values


def test_values_yaml_is_the_model_s_defaults() -> None:
    assert {**_written(), "global": {}} == chart.Values().to_json()


@pytest.mark.parametrize(
    "values",
    [
        {"image": "x"},
        {"images": {"node": {"repository": "a", "digest": "sha256:1"}}},
        {"images": {"pullPolicy": "Sometimes"}},
        {"prometheus": {"url": "prometheus:9090"}},
        {"scaling": {"intervalSeconds": 0}},
        {"watchNamespaces": ["Shop"]},
        {"operator": {"replicas": 2}},
        {"metrics": {"podMonitor": {"interval": "5"}}},
    ],
)
def test_a_wrong_value_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        chart.Values.model_validate(values)


def test_the_schema_refuses_unknown_keys_on_every_level() -> None:
    schema = json.loads((CHART / chart.SCHEMA_FILE).read_text())
    objects = [schema, *schema["$defs"].values()]
    assert all(part["additionalProperties"] is False for part in objects if "properties" in part)


def test_the_chart_s_settings_are_the_operator_s() -> None:
    text = (CHART / "templates" / "deployment.yaml").read_text()
    settings = {
        names.ENV_NAMESPACE,
        names.ENV_POD_NAME,
        names.ENV_GATEWAY_IMAGE,
        names.ENV_NODE_IMAGE,
        names.ENV_IMAGE_PULL_POLICY,
        names.ENV_PROMETHEUS_URL,
        names.ENV_SCALING_INTERVAL,
        names.ENV_WATCH_NAMESPACES,
        names.ENV_RESYNC_SECONDS,
        names.ENV_LOG_LEVEL,
    }
    assert {word for word in text.split() if word.startswith("AUTOGLM_")} == settings
    assert f"containerPort: {names.OPERATOR_ADMIN_PORT}" in text
    assert f'{names.ANNOTATION_SCRAPE_PORT}: "{names.OPERATOR_ADMIN_PORT}"' in text


def test_every_value_is_used_by_a_template() -> None:
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    unused = [
        path
        for path in _leaves(_written())
        if f".Values.{path}" not in templates and path.rsplit(".", 1)[0] not in _PASSED_WHOLE
    ]
    assert unused == []


_PASSED_WHOLE = {"images.operator", "images.gateway", "images.node", "metrics.serviceMonitor", "metrics.podMonitor"}
_ALIASES = {"images.registry", "images.pullSecrets"}


def _leaves(values: dict[str, Any], path: str = "") -> list[str]:
    found = []
    for key, value in values.items():
        below = f"{path}{key}"
        found += _leaves(value, f"{below}.") if isinstance(value, dict) and value else [below]
    return [leaf for leaf in found if leaf not in _ALIASES and not leaf.startswith("operator.resources.")]
