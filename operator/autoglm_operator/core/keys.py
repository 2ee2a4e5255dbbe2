"""Identity as types: which custom resource, which child object."""

from typing import Any, NamedTuple

JSON = dict[str, Any]
"""One Kubernetes object (or a part of one) as plain JSON."""


class ObjectKey(NamedTuple):
    """The custom resource that everything is done for."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ChildRef(NamedTuple):
    """A child object in the namespace of its owner."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


def ref_of(body: JSON) -> ChildRef:
    """Return the reference of an object that carries kind and metadata.name."""
    return ChildRef(body["kind"], body["metadata"]["name"])
