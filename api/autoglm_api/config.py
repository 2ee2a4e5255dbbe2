"""What the operator tells the other processes, as files: the node's engine spec and the gateway's configuration."""

from typing import Annotated

from pydantic import Field

from autoglm_api.cache import Cache
from autoglm_api.gateway import AccessLog, Tls
from autoglm_api.keys import Auth
from autoglm_api.queue import Queue
from autoglm_api.routing import QueryClass, Routing
from autoglm_api.schema import Model
from autoglm_api.spec import Backend, Batching, ModelKind, Precision


class EngineSpec(Model):
    """engine.json in a worker pod: everything the node runtime needs to serve one model (key names.NODE_SPEC_KEY)."""

    deployment: str
    namespace: str
    pool: str
    revision: str
    serves: QueryClass
    model_name: str
    model_kind: ModelKind = ModelKind.GENERATIVE
    model_path: Annotated[str, Field(description="Directory of the artefact inside the container.")]
    backend: Backend
    precision: Precision | None = None
    gpus: Annotated[int, Field(ge=0)] = 0
    max_sequence_tokens: Annotated[int, Field(ge=1)]
    concurrency: Annotated[int, Field(ge=1, description="Hard cap of queries at once; one more gets 429.")]
    drain_seconds: Annotated[int, Field(ge=0)]
    reclaim_interval_seconds: Annotated[int, Field(ge=5)] = 60
    batching: Batching = Batching()


class GatewayPool(Model):
    """One pool as the gateway needs to know it."""

    name: str
    serves: QueryClass
    weight: Annotated[int, Field(ge=1)] = 1
    model_name: str
    concurrency_per_replica: Annotated[int, Field(ge=1)]
    may_sleep: Annotated[
        bool, Field(description="Whether no replica is a normal state: the first query wakes the pool.")
    ] = False


class GatewayConfig(Model):
    """gateway.json in the gateway's ConfigMap (key names.GATEWAY_CONFIG_KEY); read by watching the ConfigMap."""

    deployment: str
    namespace: str
    pools: list[GatewayPool]
    routing: Routing = Routing()
    queue: Queue = Queue()
    auth: Auth = Auth()
    cache: Cache | None = None
    tls: Tls | None = None
    access_log: AccessLog = AccessLog.OFF
    max_body_bytes: Annotated[int, Field(ge=1)]


class PoolDemand(Model):
    """Demand for one pool as one gateway sees it (GET names.PATH_DEMAND)."""

    pool: str
    queued: Annotated[int, Field(ge=0)]
    in_flight: Annotated[int, Field(ge=0)]
    ready_replicas: Annotated[int, Field(ge=0)]
    queued_tokens: Annotated[int, Field(ge=0, description="Estimated tokens of the queries that wait.")] = 0
    served_tokens: Annotated[int, Field(ge=0, description="Tokens of answered queries since the start.")] = 0
    replicas: Annotated[
        dict[str, int],
        Field(default_factory=dict, description="Queries in flight of every known replica, by its host and port."),
    ]


class ClassDemand(Model):
    """What clients asked of one class since the gateway's start, before any budget or spillover."""

    query_class: QueryClass
    queries: Annotated[int, Field(ge=0)]
    tokens: Annotated[int, Field(ge=0)]


class Demand(Model):
    """The answer of the gateway's demand endpoint; a counter that falls means a new start of the gateway."""

    pools: list[PoolDemand]
    offered: Annotated[list[ClassDemand], Field(default_factory=list)]
