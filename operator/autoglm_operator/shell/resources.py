"""Where each kind lives in the API: group, version, plural; whether it has a scale subresource."""

from typing import Final, NamedTuple
from urllib.parse import quote

from autoglm_api import names


class Resource(NamedTuple):
    """The place of one namespaced kind."""

    group: str
    version: str
    plural: str

    @property
    def api_version(self) -> str:
        """Return apiVersion as objects carry it."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None, name: str = "", subresource: str = "") -> str:
        """Return the URL path of a collection (all namespaces when None), an object or a subresource."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        scope = f"/namespaces/{quote(namespace, safe='')}" if namespace is not None else ""
        parts = [quote(part, safe="") for part in (self.plural, name, subresource) if part]
        return root + scope + "/" + "/".join(parts)


CUSTOM: Final = Resource(names.GROUP, names.VERSION, names.PLURAL)
NODES: Final = Resource("", "v1", "nodes")
PODS: Final = Resource("", "v1", "pods")
EVENTS: Final = Resource("events.k8s.io", "v1", "events")
AUTOSCALERS: Final = Resource("autoscaling", "v2", "horizontalpodautoscalers")
SCALED_OBJECTS: Final = Resource("keda.sh", "v1alpha1", "scaledobjects")
CHILDREN: Final = {
    names.SCALE_KIND: Resource(names.GROUP, names.VERSION, names.SCALE_PLURAL),
    "ConfigMap": Resource("", "v1", "configmaps"),
    "Deployment": Resource("apps", "v1", "deployments"),
    "PodDisruptionBudget": Resource("policy", "v1", "poddisruptionbudgets"),
    "Role": Resource("rbac.authorization.k8s.io", "v1", "roles"),
    "RoleBinding": Resource("rbac.authorization.k8s.io", "v1", "rolebindings"),
    "Service": Resource("", "v1", "services"),
    "ServiceAccount": Resource("", "v1", "serviceaccounts"),
}
