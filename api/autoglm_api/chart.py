"""The values of the Helm chart: one definition; values.schema.json and the reference page are generated from it.

`charts/autoglm/values.yaml` is written by hand for its comments; a test keeps it equal to the defaults here.
"""

import json
from enum import StrEnum
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field

from autoglm_api.schema import Model

SCHEMA_FILE: Final = "values.schema.json"

_Labels = dict[str, Annotated[str, Field(max_length=63)]]
_Annotations = dict[str, str]
_EMPTY: Final[dict[str, Any]] = {}
_NO_ITEMS: Final[list[Any]] = []
_OPERATOR_RESOURCES: Final[dict[str, Any]] = {
    "requests": {"cpu": "50m", "memory": "128Mi"},
    "limits": {"memory": "512Mi"},
}
_Duration = Annotated[str, Field(pattern=r"^[1-9][0-9]*(ms|s|m)$")]


class PullPolicy(StrEnum):
    """When a node pulls an image, as in a pod."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class LogLevel(StrEnum):
    """How much the operator logs."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


class Crds(Model):
    """The custom resource definition."""

    enabled: Annotated[bool, Field(description="Install and upgrade the definition with the chart.")] = True
    keep: Annotated[
        bool,
        Field(description="Keep it on `helm uninstall`; deleting it deletes every deployment and every worker."),
    ] = True
    annotations: Annotated[_Annotations, Field(description="More annotations of the definition.")] = _EMPTY


class Image(Model):
    """One container image."""

    repository: Annotated[str, Field(min_length=1, description="Name of the image, without registry and tag.")]
    tag: Annotated[str, Field(description="Tag; empty takes the chart's appVersion.")] = ""
    digest: Annotated[
        str, Field(pattern=r"^(sha256:[0-9a-f]{64})?$", description="Digest `sha256:...`; wins over the tag.")
    ] = ""


class Images(Model):
    """The images of the three processes."""

    registry: Annotated[str, Field(description="Registry that is put before every repository.")] = ""
    pull_policy: Annotated[PullPolicy, Field(description="When nodes pull the images.")] = PullPolicy.IF_NOT_PRESENT
    pull_secrets: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=253)]],
        Field(description="Names of pull secrets for the operator's pod, in the release's namespace."),
    ] = _NO_ITEMS
    operator: Annotated[Image, Field(description="Image of the operator.")] = Image(repository="autoglm/operator")
    gateway: Annotated[Image, Field(description="Image of the gateways.")] = Image(repository="autoglm/gateway")
    node: Annotated[Image, Field(description="Image of the workers.")] = Image(repository="autoglm/node")


class Prometheus(Model):
    """Where the figures for scaling come from."""

    url: Annotated[
        str,
        Field(
            pattern=r"^(https?://\S+)?$",
            max_length=2048,
            description="Address of the Prometheus that scrapes gateways and workers, such as "
            "http://prometheus.monitoring.svc:9090. Empty: no figures, so every pool keeps its size.",
        ),
    ] = ""


class ScalingValues(Model):
    """The scaling loop."""

    interval_seconds: Annotated[int, Field(ge=1, le=30, description="Time between two decisions, in seconds.")] = 5


class OperatorValues(Model):
    """The operator's pod."""

    log_level: Annotated[LogLevel, Field(description="How much is logged.")] = LogLevel.INFO
    resync_seconds: Annotated[
        int, Field(ge=10, le=86400, description="Time after which every deployment is looked at again, in seconds.")
    ] = 300
    resources: Annotated[dict[str, Any], Field(description="Compute resources of the container.")] = _OPERATOR_RESOURCES
    pod_labels: Annotated[_Labels, Field(description="More labels of the pod.")] = _EMPTY
    pod_annotations: Annotated[_Annotations, Field(description="More annotations of the pod.")] = _EMPTY
    node_selector: Annotated[_Labels, Field(description="Node labels that the pod needs.")] = _EMPTY
    tolerations: Annotated[list[dict[str, Any]], Field(description="Node taints that the pod accepts.")] = _NO_ITEMS
    affinity: Annotated[dict[str, Any], Field(description="Affinity of the pod.")] = _EMPTY
    priority_class_name: Annotated[str, Field(description="PriorityClass of the pod.")] = ""
    extra_env: Annotated[
        list[dict[str, Any]], Field(description="More environment variables, such as HTTPS_PROXY.")
    ] = _NO_ITEMS


class ServiceAccountValues(Model):
    """The operator's identity."""

    create: Annotated[bool, Field(description="Create the ServiceAccount.")] = True
    name: Annotated[str, Field(description="Its name; empty takes the release's full name.")] = ""
    annotations: Annotated[_Annotations, Field(description="Its annotations.")] = _EMPTY


class Rbac(Model):
    """Permissions."""

    create: Annotated[bool, Field(description="Create the operator's roles and bindings.")] = True
    aggregate: Annotated[
        bool, Field(description="Add the resource to the cluster's `view`, `edit` and `admin` roles.")
    ] = True
    gateway_keys: Annotated[
        bool,
        Field(
            description="Let the operator read Secrets, so that it may let a gateway read the one with its API keys: "
            "Kubernetes lets nobody grant what he does not hold."
        ),
    ] = False


class MetricsService(Model):
    """The Service before the operator's metrics."""

    enabled: Annotated[bool, Field(description="Create the Service.")] = True
    annotations: Annotated[_Annotations, Field(description="Its annotations.")] = _EMPTY


class Monitor(Model):
    """A ServiceMonitor or PodMonitor of the Prometheus Operator."""

    enabled: Annotated[bool, Field(description="Create it; its custom resource definition must be installed.")] = False
    interval: Annotated[_Duration, Field(description="Time between two scrapes.")] = "5s"
    labels: Annotated[_Labels, Field(description="Labels by which your Prometheus selects it.")] = _EMPTY


class Metrics(Model):
    """How Prometheus finds the processes."""

    service: Annotated[MetricsService, Field(description="Service before the operator's metrics.")] = MetricsService()
    service_monitor: Annotated[Monitor, Field(description="ServiceMonitor of the operator.")] = Monitor()
    pod_monitor: Annotated[
        Monitor, Field(description="PodMonitor of gateways and workers; sets the series labels that scaling reads.")
    ] = Monitor()


class Values(Model):
    """Every value of the chart."""

    name_override: Annotated[str, Field(max_length=50, description="Name instead of the chart's.")] = ""
    fullname_override: Annotated[
        str, Field(max_length=50, description="Name of the objects instead of release and chart name.")
    ] = ""
    common_labels: Annotated[_Labels, Field(description="Labels of every object of the chart.")] = _EMPTY
    crds: Annotated[Crds, Field(description="The custom resource definition.")] = Crds()
    images: Annotated[Images, Field(description="The images of the three processes.")] = Images()
    prometheus: Annotated[Prometheus, Field(description="Where the figures for scaling come from.")] = Prometheus()
    scaling: Annotated[ScalingValues, Field(description="The scaling loop.")] = ScalingValues()
    watch_namespaces: Annotated[
        list[Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]],
        Field(
            max_length=64,
            description="Namespaces that the operator works in, with a Role in each; empty: all, with a ClusterRole.",
            json_schema_extra={"uniqueItems": True},
        ),
    ] = _NO_ITEMS
    operator: Annotated[OperatorValues, Field(description="The operator's pod.")] = OperatorValues()
    service_account: Annotated[ServiceAccountValues, Field(description="The operator's identity.")] = (
        ServiceAccountValues()
    )
    rbac: Annotated[Rbac, Field(description="Permissions.")] = Rbac()
    metrics: Annotated[Metrics, Field(description="How Prometheus finds the processes.")] = Metrics()
    shared: Annotated[
        dict[str, Any], Field(alias="global", description="Ignored; Helm passes it when this is a sub-chart.")
    ] = _EMPTY

    model_config = ConfigDict(title="Values of the chart autoglm")


def values_schema() -> dict[str, Any]:
    """Return the JSON schema of values.yaml; unknown keys are refused on every level that the chart defines."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Values.model_json_schema(by_alias=True)}


def rendered() -> str:
    """Return the text of values.schema.json."""
    return json.dumps(values_schema(), indent=2) + "\n"
