"""AutoGLMPoolScale: the size of one pool in mode External, as an HPA, KEDA or `kubectl scale` writes it.

A scale subresource cannot point into the list of pools of an AutoGLMDeployment, so each such pool has an object of its
own. The operator makes it, reads `spec.replicas` and reports in `status`; it never decides the size in it.
"""

from typing import Annotated

from pydantic import Field

from autoglm_api.schema import Model


class PoolScaleSpec(Model):
    """What somebody asks for."""

    replicas: Annotated[
        int | None,
        Field(
            ge=0,
            le=100_000,
            description="Size that the pool should have; the pool's minReplicas and maxReplicas bound what is done.",
        ),
    ] = None


class PoolScaleStatus(Model):
    """What the pool is; written by the operator only."""

    replicas: Annotated[int, Field(ge=0, description="Worker pods of the pool, without the surge of a rollout.")] = 0
    selector: Annotated[
        str, Field(max_length=1024, description="Label selector of the pool's worker pods; an HPA needs it.")
    ] = ""
