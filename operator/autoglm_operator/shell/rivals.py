"""Autoscalers of somebody else: HPAs, and ScaledObjects where KEDA is installed."""

import asyncio

from autoglm_operator.core.keys import JSON
from autoglm_operator.shell.api import APIError, KubernetesAPI
from autoglm_operator.shell.resources import AUTOSCALERS, SCALED_OBJECTS


async def autoscalers_in(api: KubernetesAPI, namespace: str) -> list[JSON]:
    """Return every autoscaler of a namespace; raises APIError."""
    autoscalers, scaled_objects = await asyncio.gather(
        api.list(AUTOSCALERS, namespace), _scaled_objects(api, namespace)
    )
    typed = (("HorizontalPodAutoscaler", autoscalers), ("ScaledObject", scaled_objects))
    return [{**body, "kind": kind} for kind, bodies in typed for body in bodies]


async def _scaled_objects(api: KubernetesAPI, namespace: str) -> list[JSON]:
    """Return KEDA's objects, or none: KEDA may be absent, or broken, and its HPA tells of the conflict as well."""
    try:
        return await api.list(SCALED_OBJECTS, namespace)
    except APIError:
        return []
