"""`template` of a pool or gateway: the safe part of a pod. Import it from `autoglm_api.spec`."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import ConfigDict, Field

from autoglm_api import names
from autoglm_api.schema import Model, Quantity, cel, rules

_KNOWN_RESOURCES: Final = rules(
    cel(
        "self.all(k, k in ['cpu', 'memory', 'ephemeral-storage'] || k.startsWith('hugepages-') || k.contains('/'))",
        "unknown resource: use cpu, memory, ephemeral-storage, hugepages-SIZE or a vendor's name with a '/'",
    )
)


class Resources(Model):
    """Compute resources of one container, as in a pod; GPUs are asked for by engine.gpusPerReplica."""

    requests: Annotated[
        dict[str, Quantity] | None,
        Field(
            max_length=8,
            description="What is reserved, such as cpu: 250m and memory: 512Mi.",
            json_schema_extra=_KNOWN_RESOURCES,
        ),
    ] = None
    limits: Annotated[
        dict[str, Quantity] | None,
        Field(max_length=8, description="What must not be exceeded.", json_schema_extra=_KNOWN_RESOURCES),
    ] = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                f"!has(self.requests) || !('{names.GPU_RESOURCE}' in self.requests)",
                f"set engine.gpusPerReplica instead of requesting {names.GPU_RESOURCE}",
                ".requests",
            ),
            cel(
                f"!has(self.limits) || !('{names.GPU_RESOURCE}' in self.limits)",
                f"set engine.gpusPerReplica instead of limiting {names.GPU_RESOURCE}",
                ".limits",
            ),
            cel(
                "!has(self.requests) || !has(self.limits) || self.requests.all(k, !(k in self.limits) || "
                "quantity(string(self.requests[k])).compareTo(quantity(string(self.limits[k]))) <= 0)",
                "a request must not be greater than its limit; raise the limit or lower the request",
                ".requests",
            ),
        )
    )


class TolerationOperator(StrEnum):
    """How a toleration matches a taint."""

    EXISTS = "Exists"
    EQUAL = "Equal"


class TaintEffect(StrEnum):
    """What a taint does to a pod."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


class Toleration(Model):
    """A node taint that the pods accept."""

    key: Annotated[str | None, Field(max_length=316, description="Taint key; absent matches every key.")] = None
    operator: Annotated[TolerationOperator | None, Field(description="Exists or Equal.")] = None
    value: Annotated[str | None, Field(max_length=63, description="Taint value for operator Equal.")] = None
    effect: Annotated[TaintEffect | None, Field(description="Taint effect; absent matches every effect.")] = None

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.value) || !has(self.operator) || self.operator != 'Exists'",
                "a toleration with operator Exists has no value: remove value, or use operator Equal",
                ".value",
            ),
            cel(
                "has(self.key) || (has(self.operator) && self.operator == 'Exists')",
                "a toleration without key needs operator Exists",
                ".operator",
            ),
        )
    )


_QUALIFIED_KEYS: Final = rules(
    cel(
        "self.all(k, k.size() <= 317 && "
        "k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))",
        "a key must be NAME or DOMAIN/NAME, such as example.com/owner",
    )
)
_LABEL_VALUE: Final = r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$"
_DNS_NAME: Final = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"


class PodTemplate(Model):
    """The safe part of a pod template that a user may set."""

    image: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=512,
            pattern=r"^\S+$",
            description="Container image instead of the operator's default.",
        ),
    ] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=1024)]] | None,
        Field(max_length=32, description="Annotations of the pods.", json_schema_extra=_QUALIFIED_KEYS),
    ] = None
    node_selector: Annotated[
        dict[str, Annotated[str, Field(max_length=63, pattern=_LABEL_VALUE)]] | None,
        Field(max_length=16, description="Node labels that the pods need.", json_schema_extra=_QUALIFIED_KEYS),
    ] = None
    tolerations: Annotated[
        list[Toleration] | None,
        Field(
            max_length=16,
            description="Node taints that the pods accept.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None
    priority_class_name: Annotated[
        str | None, Field(max_length=253, pattern=_DNS_NAME, description="PriorityClass of the pods.")
    ] = None
    resources: Annotated[Resources | None, Field(description="Compute resources of the container.")] = None
