"""A pool's revision: the hash of everything that makes its worker pods what they are."""

import json
from pathlib import PurePosixPath

from autoglm_api import names
from autoglm_api.config import EngineSpec
from autoglm_api.spec import Pool
from autoglm_operator.core.deployment import Deployment
from autoglm_operator.core.settings import Images

_BUILTIN = "builtin://"
_VOLUME = "pvc://"


def image_of(pool: Pool, images: Images) -> str:
    """Return the worker image: the pool's own or the operator's default."""
    return pool.template.image or images.node


def volume_claim(uri: str) -> str | None:
    """Return the volume claim that holds a model, or None when the image holds it."""
    return uri.removeprefix(_VOLUME).split("/")[0] if uri.startswith(_VOLUME) else None


def model_path(uri: str) -> str:
    """Return the model's directory inside the container.

    >>> model_path("builtin://shop-light"), model_path("pvc://models/shop/3")
    ('/opt/autoglm/models/shop-light', '/models/shop/3')
    """
    if uri.startswith(_BUILTIN):
        return str(PurePosixPath(names.BUILTIN_MODELS_DIR, uri.removeprefix(_BUILTIN)))
    return str(PurePosixPath(names.MODEL_MOUNT_DIR, *uri.removeprefix(_VOLUME).split("/")[1:]))


def engine_spec(deployment: Deployment, pool: Pool, revision: str) -> EngineSpec:
    """Return what the node runtime of one revision is told."""
    return EngineSpec(
        deployment=deployment.name,
        namespace=deployment.namespace,
        pool=pool.name,
        revision=revision,
        serves=pool.serves,
        model_name=pool.model.name,
        model_kind=pool.model.kind,
        model_path=model_path(pool.model.uri),
        backend=pool.engine.backend,
        precision=pool.engine.precision,
        gpus=pool.engine.gpus_per_replica,
        max_sequence_tokens=pool.engine.max_sequence_tokens,
        concurrency=pool.concurrency_per_replica,
        drain_seconds=pool.drain_seconds,
        reclaim_interval_seconds=pool.engine.memory.reclaim_interval_seconds,
        batching=pool.engine.batching,
    )


def revision_of(deployment: Deployment, pool: Pool, images: Images) -> str:
    """Return the revision (8 hexadecimal characters) that a pool should run.

    Equal inputs give equal revisions in every process and release; size and weight are no part of it.
    """
    inputs = {
        "engine": engine_spec(deployment, pool, "").to_json(),
        "uri": pool.model.uri,
        "image": image_of(pool, images),
        "template": pool.template.to_json(),
    }
    return names.short_hash(json.dumps(inputs, sort_keys=True))
