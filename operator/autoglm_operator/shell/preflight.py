"""Before anything is watched: may we, and is the kind known?

kopf looks for kinds once at its start; a CRD that is established a second later would never be watched.
"""

import asyncio
import logging
from typing import Final

from autoglm_api import names
from autoglm_operator.shell.api import APIError, KubernetesAPI, RefusedError
from autoglm_operator.shell.resources import AUTOSCALERS, CHILDREN, CUSTOM, PODS, Resource

_log: Final = logging.getLogger(__name__)
_PAUSE_SECONDS: Final = 2.0
_NOT_FOUND: Final = 404


async def wait_for_access(api: KubernetesAPI, namespaces: tuple[str, ...]) -> None:
    """Return when everything that is watched can be listed; says what is missing while it is not."""
    told = ""
    while (problem := await _problem(api, namespaces)) is not None:
        if problem != told:
            _log.warning("%s; trying again every %.0f s", problem, _PAUSE_SECONDS)
            told = problem
        await asyncio.sleep(_PAUSE_SECONDS)


async def _problem(api: KubernetesAPI, namespaces: tuple[str, ...]) -> str | None:
    for resource in (CUSTOM, *CHILDREN.values(), PODS, AUTOSCALERS):
        for namespace in namespaces or (None,):
            problem = await _listing_problem(api, resource, namespace)
            if problem is not None:
                return problem
    return None


async def _listing_problem(api: KubernetesAPI, resource: Resource, namespace: str | None) -> str | None:
    try:
        await api.list(resource, namespace, f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}")
    except RefusedError as error:
        return f"the operator may not list {resource.plural}: give its service account the chart's role ({error})"
    except APIError as error:
        if error.status == _NOT_FOUND:
            kind = f"{resource.plural}.{resource.group}"
            return f"the API server knows no {kind}: install the CRD {kind}"
        return str(error)
    return None
