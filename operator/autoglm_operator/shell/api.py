"""The API server: lists, server-side apply, scale, delete; errors as types.

One generic client over the transport of `kubernetes.aio` (it brings authentication, TLS and pooling): objects stay
plain JSON, so nothing of them is lost between reading and comparing.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config

from autoglm_api import names
from autoglm_operator.core.keys import JSON, ChildRef, ObjectKey
from autoglm_operator.shell.resources import CHILDREN, CUSTOM, EVENTS, PODS, Resource
from autoglm_operator.shell.telemetry import WRITES

_APPLY: Final = "application/apply-patch+yaml"
_MERGE: Final = "application/merge-patch+json"
_JSON: Final = "application/json"
_JSON_PATCH: Final = "application/json-patch+json"
_TIMEOUT_SECONDS: Final = 30.0
_PAGE: Final = 500
_NOT_FOUND: Final = 404
_CONFLICT: Final = 409
_INVALID: Final = 422
_FIRST_ERROR: Final = 400
# The request is understood and will be refused again as it is: forbidden (quota, PodSecurity, RBAC) or invalid.
_REFUSALS: Final = {400, 403, 405, 413, 415, 422}


class APIError(Exception):
    """The API server did not do it; trying again later may help."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(f"{sentence} (HTTP {status})" if status else sentence)
        self.status = status
        self.sentence = sentence


class RefusedError(APIError):
    """The API server will not do it as it is asked."""


class NotFoundError(APIError):
    """The object, or the namespace or kind, does not exist."""


class NamespaceEndsError(APIError):
    """Nothing can be created any more because the namespace is being deleted."""


class ConflictError(APIError):
    """The object is not the one that was meant (another UID), or it exists already."""


class KubernetesAPI:
    """A connection to one API server. Every method raises APIError."""

    def __init__(self, api_client: Any) -> None:
        self._client = api_client

    @classmethod
    async def connect(cls) -> Self:
        """Connect as the pod's service account, or by KUBECONFIG outside a cluster."""
        try:
            config.load_incluster_config()
        except config.ConfigException:
            await config.load_kube_config()
        return cls(client.ApiClient())

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def get(self, resource: Resource, namespace: str, name: str) -> JSON:
        """Return one object; raises NotFoundError."""
        return await self._request("GET", resource.path(namespace, name))

    async def list(self, resource: Resource, namespace: str | None, selector: str = "") -> list[JSON]:
        """Return all objects that match a label selector, from a consistent read, page by page."""
        found: list[JSON] = []
        token = ""
        while True:
            query = {"limit": str(_PAGE), "labelSelector": selector, "continue": token}
            path = resource.path(namespace)
            page = await self._request("GET", path, {key: value for key, value in query.items() if value})
            found += page["items"]
            token = page["metadata"].get("continue", "")
            if not token:
                return found

    async def apply(self, body: JSON, uid: str | None, manager: str = names.FIELD_MANAGER) -> None:
        """Write our fields of a child. With a UID only if it is still that object; raises ConflictError otherwise."""
        kind, metadata = body["kind"], body["metadata"]
        path = CHILDREN[kind].path(metadata["namespace"], metadata["name"])
        precondition = {} if uid is None else {"uid": uid}
        meant = {**body, "metadata": {**metadata, **precondition}}
        try:
            await self._apply(path, meant, manager)
        except RefusedError as error:
            if uid is None or error.status != _INVALID:
                raise
            await self._replace_lists(path, meant)
        WRITES.labels("apply", kind).inc()

    async def scale(self, namespace: str, ref: ChildRef, replicas: int) -> None:
        """Set the replicas of a Deployment through its scale subresource, or those that a pool's scale starts with."""
        if ref.kind == names.SCALE_KIND:
            await self._start_pool_scale(namespace, ref, replicas)
            return
        body = {
            "apiVersion": "autoscaling/v1",
            "kind": "Scale",
            "metadata": {"name": ref.name, "namespace": namespace},
            "spec": {"replicas": replicas},
        }
        await self._apply(CHILDREN[ref.kind].path(namespace, ref.name, "scale"), body, names.FIELD_MANAGER_SCALE)
        WRITES.labels("scale", ref.kind).inc()

    async def _start_pool_scale(self, namespace: str, ref: ChildRef, replicas: int) -> None:
        """Write a size only where there is none: from then on it belongs to others.

        Server-side apply is no way here: a custom resource's scale subresource answers it with a fault.
        """
        path = CHILDREN[ref.kind].path(namespace, ref.name)
        patch: Sequence[JSON] = [
            {"op": "test", "path": "/spec", "value": {}},
            {"op": "add", "path": "/spec/replicas", "value": replicas},
        ]
        await self._request("PATCH", path, {"fieldManager": names.FIELD_MANAGER_SCALE}, patch, _JSON_PATCH)
        WRITES.labels("scale", ref.kind).inc()

    async def delete(self, namespace: str, ref: ChildRef, uid: str) -> None:
        """Delete a child if it is still the one with that UID; one that is gone is fine."""
        options = {"propagationPolicy": "Background", "preconditions": {"uid": uid}}
        try:
            await self._request("DELETE", CHILDREN[ref.kind].path(namespace, ref.name), body=options)
        except NotFoundError:
            return
        WRITES.labels("delete", ref.kind).inc()

    async def apply_status(self, key: ObjectKey, uid: str, status: JSON) -> None:
        """Write the status of the resource with that UID."""
        await self._apply_status(CUSTOM, names.KIND, key, uid, status)

    async def apply_child_status(self, namespace: str, ref: ChildRef, uid: str, status: JSON) -> None:
        """Write the status of the child with that UID."""
        await self._apply_status(CHILDREN[ref.kind], ref.kind, ObjectKey(namespace, ref.name), uid, status)

    async def _apply_status(self, resource: Resource, kind: str, key: ObjectKey, uid: str, status: JSON) -> None:
        metadata = {"name": key.name, "namespace": key.namespace, "uid": uid}
        body = {"apiVersion": resource.api_version, "kind": kind, "metadata": metadata, "status": status}
        await self._apply(resource.path(key.namespace, key.name, "status"), body, names.FIELD_MANAGER_STATUS)
        WRITES.labels("status", kind).inc()

    async def annotate_pod(self, namespace: str, name: str, uid: str, annotations: Mapping[str, str | None]) -> None:
        """Set or (None) remove annotations of the pod with that UID."""
        patch = {"metadata": {"uid": uid, "annotations": dict(annotations)}}
        query = {"fieldManager": names.FIELD_MANAGER_SCALE}
        await self._request("PATCH", PODS.path(namespace, name), query, patch, _MERGE)
        WRITES.labels("patch", "Pod").inc()

    async def create_event(self, namespace: str, body: JSON) -> None:
        """Create an Event; raises ConflictError when one of that name exists."""
        await self._request("POST", EVENTS.path(namespace), body=body)
        WRITES.labels("create", "Event").inc()

    async def patch_event(self, namespace: str, name: str, patch: JSON) -> None:
        """Merge fields into an Event."""
        await self._request("PATCH", EVENTS.path(namespace, name), body=patch, content_type=_MERGE)
        WRITES.labels("patch", "Event").inc()

    async def _apply(self, path: str, body: JSON, manager: str) -> None:
        query = {"fieldManager": manager, "force": "true"}
        await self._request("PATCH", path, query, body, _APPLY)

    async def _replace_lists(self, path: str, body: JSON) -> None:
        """Write a child with its lists as a whole.

        Merged item by item, ours beside one that somebody made of it can be invalid: two ports of one name.
        """
        fields = {key: value for key, value in body.items() if key not in ("apiVersion", "kind")}
        await self._request("PATCH", path, {"fieldManager": names.FIELD_MANAGER}, fields, _MERGE)

    async def _request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: JSON | Sequence[JSON] | None = None,
        content_type: str = _JSON,
    ) -> JSON:
        headers = {"Accept": _JSON, "Content-Type": content_type}
        # The client fetches the (rotating) token of the pod here.
        await self._client.update_params_for_auth(headers, [], ["BearerToken"], path, method, body)
        url = f"{self._client.configuration.host}{path}" + (f"?{urlencode(query)}" if query else "")
        try:
            answer = await self._client.call_api(method, url, headers, body, _request_timeout=_TIMEOUT_SECONDS)
            data = await answer.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise APIError(0, f"the API server cannot be reached: {type(error).__name__}: {error}") from error
        return _content(answer.status, data)


def _content(status: int, data: bytes) -> JSON:
    """Return the object in an answer; raises the error that the status code means."""
    try:
        content = json.loads(data)
    except ValueError:
        content = None  # not the API server's own words: a proxy's page
    if not isinstance(content, dict):
        raise APIError(status, f"not an answer of an API server: {data[:200].decode(errors='replace')!r}")
    if status < _FIRST_ERROR:
        return content
    raise _error_for(status, content)(status, str(content.get("message") or "the API server gave no reason"))


def _error_for(status: int, content: JSON) -> type[APIError]:
    causes = (content.get("details") or {}).get("causes") or ()
    if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
        return NamespaceEndsError
    if status == _NOT_FOUND:
        return NotFoundError
    if status == _CONFLICT:
        return ConflictError
    return RefusedError if status in _REFUSALS else APIError
