"""Every name that two processes, or a process and a user, must agree on.

One list, no other place: labels, annotations, ports, headers, metric names, field managers, file paths inside
containers, environment variables and exit codes. Nothing here computes except the makers of object names.
"""

import hashlib
from typing import Final

# --- API ---------------------------------------------------------------------------------------
GROUP: Final = "autoglm.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
KIND: Final = "AutoGLMDeployment"
PLURAL: Final = "autoglmdeployments"
SINGULAR: Final = "autoglmdeployment"
SHORT_NAME: Final = "agd"
CATEGORY: Final = "inference"
CRD_NAME: Final = f"{PLURAL}.{GROUP}"
# The size of one pool in mode External: what an HPA, KEDA or `kubectl scale` writes.
SCALE_KIND: Final = "AutoGLMPoolScale"
SCALE_PLURAL: Final = "autoglmpoolscales"
SCALE_SINGULAR: Final = "autoglmpoolscale"
SCALE_SHORT_NAME: Final = "agps"
SCALE_CRD_NAME: Final = f"{SCALE_PLURAL}.{GROUP}"

# --- Labels and annotations ---------------------------------------------------------------------
LABEL_NAME: Final = "app.kubernetes.io/name"
LABEL_INSTANCE: Final = "app.kubernetes.io/instance"
LABEL_COMPONENT: Final = "app.kubernetes.io/component"
LABEL_PART_OF: Final = "app.kubernetes.io/part-of"
LABEL_MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY: Final = "autoglm-operator"
PART_OF: Final = "autoglm"
COMPONENT_WORKER: Final = "worker"
COMPONENT_GATEWAY: Final = "gateway"

LABEL_DEPLOYMENT: Final = f"{GROUP}/deployment"
LABEL_POOL: Final = f"{GROUP}/pool"
LABEL_REVISION: Final = f"{GROUP}/revision"
LABEL_CLASS: Final = f"{GROUP}/class"

ANNOTATION_CONFIG_HASH: Final = f"{GROUP}/config-hash"
ANNOTATION_SCRAPE: Final = "prometheus.io/scrape"
ANNOTATION_SCRAPE_PORT: Final = "prometheus.io/port"
ANNOTATION_DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"  # Kubernetes' own
# On the resource, with the value "true": hold one direction of scaling.
ANNOTATION_PAUSED_SCALE_IN: Final = f"{GROUP}/paused-scale-in"
ANNOTATION_PAUSED_SCALE_OUT: Final = f"{GROUP}/paused-scale-out"

# Fake GPU nodes of the local cluster (see localcluster/); never set by the operator.
LABEL_FAKE_GPU: Final = f"{GROUP}/fake-gpu"
ANNOTATION_FAKE_START_SECONDS: Final = f"{GROUP}/fake-start-seconds"
ANNOTATION_FAKE_FAILURE: Final = f"{GROUP}/fake-failure"
GPU_RESOURCE: Final = "nvidia.com/gpu"

# --- Field managers: one per writer and purpose --------------------------------------------------
FIELD_MANAGER: Final = "autoglm-operator"
FIELD_MANAGER_STATUS: Final = "autoglm-operator-status"
FIELD_MANAGER_SCALE: Final = "autoglm-operator-scale"
FIELD_MANAGER_STATE: Final = "autoglm-operator-state"

# --- Ports --------------------------------------------------------------------------------------
GATEWAY_PORT: Final = 8080
GATEWAY_TLS_PORT: Final = 8443  # instead of the other one: nothing answers in clear text where TLS is wanted
GATEWAY_ADMIN_PORT: Final = 9090
WORKER_PORT: Final = 8000
WORKER_GRPC_PORT: Final = 8001
WORKER_ADMIN_PORT: Final = 9091
OPERATOR_ADMIN_PORT: Final = 9092
GATEWAY_PROBE_PORT: Final = 9093
TRITON_HTTP_PORT: Final = 18000
TRITON_GRPC_PORT: Final = 18001
TRITON_METRICS_PORT: Final = 18002
SERVICE_PORT: Final = 80
SERVICE_TLS_PORT: Final = 443
PORT_NAME_HTTP: Final = "http"
PORT_NAME_HTTPS: Final = "https"
PORT_NAME_GRPC: Final = "grpc"
PORT_NAME_ADMIN: Final = "admin"
PORT_NAME_PROBES: Final = "probes"

# --- HTTP headers (always compared in lower case) ------------------------------------------------
HEADER_REQUEST_ID: Final = "x-request-id"
HEADER_TRACEPARENT: Final = "traceparent"
# Client -> gateway
HEADER_CACHE: Final = "x-autoglm-cache"  # "allow" from the client; hit, miss or bypass to it
HEADER_TASK: Final = "x-autoglm-task"  # the kind of work, told by the client
# Client -> gateway -> replica
HEADER_DEADLINE: Final = "x-autoglm-deadline-ms"  # milliseconds that are left when the header is written
HEADER_TIER: Final = "x-autoglm-tier"  # wished by the client, granted by the gateway as its key allows
# Gateway -> replica
HEADER_PREDICTED_TOKENS: Final = "x-autoglm-predicted-tokens"  # of the answer
HEADER_CLASS: Final = "x-autoglm-class"
# Replica -> gateway
HEADER_REVISION: Final = "x-autoglm-revision"
HEADER_PROMPT_TOKENS: Final = "x-autoglm-prompt-tokens"
HEADER_CONFIDENCE: Final = "x-autoglm-confidence"
HEADER_DRAINING: Final = "x-autoglm-draining"  # on a 503: try elsewhere, no retry budget is spent
HEADER_SIMULATED: Final = "x-autoglm-simulated"
# Gateway -> client
HEADER_POOL: Final = "x-autoglm-pool"
HEADER_ROUTED_CLASS: Final = "x-autoglm-routed-class"
HEADER_REASON: Final = "x-autoglm-reason"
HEADER_SCORE: Final = "x-autoglm-score"  # 0 to 100, when the score was asked
HEADER_SPILLED_FROM: Final = "x-autoglm-spilled-from"  # the class whose replicas had no room
# Headers a client may not smuggle through to a replica.
PRIVATE_HEADER_PREFIX: Final = "x-autoglm-"

# --- HTTP paths -----------------------------------------------------------------------------------
PATH_CHAT: Final = "/v1/chat/completions"
PATH_COMPLETIONS: Final = "/v1/completions"
PATH_EMBEDDINGS: Final = "/v1/embeddings"
PATH_MODELS: Final = "/v1/models"
PATH_HEALTHZ: Final = "/healthz"
PATH_READYZ: Final = "/readyz"
PATH_METRICS: Final = "/metrics"
PATH_DEMAND: Final = "/internal/v1/demand"
PATH_DRAIN: Final = "/admin/drain"

# --- Metrics: gateway (labels in brackets; `deployment` and `namespace` come from the scrape) ------
METRIC_GATEWAY_QUERIES: Final = "autoglm_gateway_queries_total"  # [pool, class, code]
METRIC_GATEWAY_QUEUED: Final = "autoglm_gateway_queued_queries"  # [pool] gauge: waiting in our queue
METRIC_GATEWAY_IN_FLIGHT: Final = "autoglm_gateway_in_flight_queries"  # [pool] gauge: sent to a replica
METRIC_GATEWAY_ROUTED: Final = "autoglm_gateway_routed_total"  # [class, reason]
METRIC_GATEWAY_SPILLED: Final = "autoglm_gateway_spilled_total"  # [class, reason] class: whose replicas had no room
METRIC_GATEWAY_COMPLEX_SHARE: Final = "autoglm_gateway_complex_share_percent"  # gauge: of the last hour's queries
METRIC_GATEWAY_WEIGHTS_BROKEN: Final = "autoglm_gateway_routing_weights_broken"  # 1: the named weights are not in use
METRIC_GATEWAY_REJECTED: Final = "autoglm_gateway_rejected_total"  # [pool, reason]
METRIC_GATEWAY_RETRIES: Final = "autoglm_gateway_retries_total"  # [pool, reason]
METRIC_GATEWAY_QUEUE_SECONDS: Final = "autoglm_gateway_queue_seconds"  # [pool] histogram
METRIC_GATEWAY_FIRST_BYTE_SECONDS: Final = "autoglm_gateway_first_byte_seconds"  # [pool] histogram
METRIC_GATEWAY_DURATION_SECONDS: Final = "autoglm_gateway_duration_seconds"  # [pool] histogram
METRIC_GATEWAY_ENDPOINTS: Final = "autoglm_gateway_ready_replicas"  # [pool] gauge
# Prompt tokens (estimated) and predicted output tokens of every query on arrival, by the class that the score gave
# (or the client: by the override header or a pinned model), before any budget or spillover: what the pools of that
# class are asked to do.
METRIC_GATEWAY_OFFERED_TOKENS: Final = "autoglm_gateway_offered_tokens_total"  # [class]
METRIC_GATEWAY_OFFERED_QUERIES: Final = "autoglm_gateway_offered_queries_total"  # [class]
METRIC_GATEWAY_QUEUED_TOKENS: Final = "autoglm_gateway_queued_tokens"  # [pool] gauge: estimated, of waiting queries
METRIC_GATEWAY_QUEUED_TIER: Final = "autoglm_gateway_queued_by_tier"  # [pool, tier] gauge: waiting queries
METRIC_GATEWAY_PROMOTIONS: Final = "autoglm_gateway_promotions_total"  # [pool] waited long, moved up a tier
METRIC_GATEWAY_LIMITED: Final = "autoglm_gateway_limited_total"  # [limit] refused by a limit of the caller's key
METRIC_GATEWAY_KEY_PROBLEMS: Final = "autoglm_gateway_key_problems"  # gauge: entries of the keys' Secret not in use
METRIC_GATEWAY_CERTIFICATE_BROKEN: Final = "autoglm_gateway_certificate_broken"  # 1: the Secret's is not in use
METRIC_GATEWAY_CERTIFICATE_EXPIRY: Final = "autoglm_gateway_certificate_expiry_timestamp_seconds"  # of that in use
METRIC_GATEWAY_ACCESS_LOG_DROPPED: Final = "autoglm_gateway_access_log_dropped_total"  # lines; stdout is too slow
METRIC_GATEWAY_PREDICTION_TAU: Final = "autoglm_gateway_prediction_tau"  # [pool] gauge: rank correlation of lengths
METRIC_GATEWAY_LOOP_LAG: Final = "autoglm_gateway_event_loop_lag_seconds"  # histogram: how late a timer was
METRIC_GATEWAY_CACHE_HITS: Final = "autoglm_gateway_cache_hits_total"  # [level] memory, redis, shared
METRIC_GATEWAY_CACHE_MISSES: Final = "autoglm_gateway_cache_misses_total"
METRIC_GATEWAY_CACHE_BYPASSED: Final = "autoglm_gateway_cache_bypassed_total"  # [reason]
METRIC_GATEWAY_CACHE_STORED: Final = "autoglm_gateway_cache_stored_total"
METRIC_GATEWAY_CACHE_SAVED_TOKENS: Final = "autoglm_gateway_cache_saved_tokens_total"  # prompt and output, of hits
METRIC_GATEWAY_CACHE_BYTES: Final = "autoglm_gateway_cache_bytes"  # gauge: memory of kept answers
METRIC_GATEWAY_CACHE_REDIS: Final = "autoglm_gateway_cache_redis_available"  # gauge: 1, or 0 while it is left alone
METRIC_GATEWAY_CACHE_REDIS_ERRORS: Final = "autoglm_gateway_cache_redis_errors_total"
METRIC_GATEWAY_SERVED_TOKENS: Final = "autoglm_gateway_served_tokens_total"  # [pool] same estimate, of answered ones
# --- Metrics: node runtime -------------------------------------------------------------------------
METRIC_NODE_IN_FLIGHT: Final = "autoglm_node_in_flight_queries"
METRIC_NODE_QUERIES: Final = "autoglm_node_queries_total"  # [code]
METRIC_NODE_REJECTED: Final = "autoglm_node_rejected_total"  # [reason]
METRIC_NODE_DEADLINE_LATE_SECONDS: Final = "autoglm_node_deadline_late_seconds"  # of those that passed
METRIC_NODE_PROMPT_TOKENS: Final = "autoglm_node_prompt_tokens_total"
METRIC_NODE_OUTPUT_TOKENS: Final = "autoglm_node_output_tokens_total"
METRIC_NODE_FIRST_TOKEN_SECONDS: Final = "autoglm_node_first_token_seconds"  # noqa: S105 - a metric, not a password
METRIC_NODE_PER_TOKEN_SECONDS: Final = "autoglm_node_per_token_seconds"  # noqa: S105 - a metric, not a password
METRIC_NODE_MODEL_READY: Final = "autoglm_node_model_ready"  # [model] 0 or 1
METRIC_NODE_DRAINING: Final = "autoglm_node_draining"  # 0 or 1
METRIC_NODE_CANARY_SECONDS: Final = "autoglm_node_canary_seconds"
METRIC_NODE_START_SECONDS: Final = "autoglm_node_start_seconds"  # from process start to ready
METRIC_NODE_MEMORY_SHARE: Final = "autoglm_node_memory_used_ratio"  # [source] 0 to 1; no limit, no series
METRIC_NODE_MEMORY_PRESSURE: Final = "autoglm_node_memory_pressure"  # level 0 to 4; above 0: add replicas
METRIC_NODE_OOM_KILLS: Final = "autoglm_node_oom_kills_total"  # processes of the container killed for memory
# Written by the CPU engine into Triton's own metrics page.
METRIC_ENGINE_RUNNING: Final = "autoglm_engine_running"  # [model] gauge: hold a slot
METRIC_ENGINE_WAITING: Final = "autoglm_engine_waiting"  # [model] gauge: no slot yet
METRIC_ENGINE_CACHED_TOKENS: Final = "autoglm_engine_cached_tokens"  # [model] gauge
METRIC_ENGINE_CACHE_LIMIT: Final = "autoglm_engine_cache_limit_tokens"  # [model] gauge: most that can be held
METRIC_ENGINE_PROMPT_TOKENS: Final = "autoglm_engine_prompt_tokens"  # [model] gauge: read since the start
METRIC_ENGINE_PADDING_TOKENS: Final = "autoglm_engine_padding_tokens"  # [model] gauge: read beside them to fill rows
METRIC_ENGINE_STEP_TOKENS: Final = "autoglm_engine_step_tokens"  # [model] gauge: most prompt tokens of a step now
METRIC_ENGINE_BUCKET_LIMIT: Final = "autoglm_engine_bucket_limit"  # [model, max_tokens] gauge: most at once now
METRIC_ENGINE_QUEUE_DELAY: Final = "autoglm_engine_queue_delay_seconds"  # [model] gauge: wait for company now
METRIC_ENGINE_RECLAIMS: Final = "autoglm_engine_memory_reclaims"  # [model] gauge: times memory was given back
METRIC_ENGINE_RECLAIMED: Final = "autoglm_engine_reclaimed_bytes"  # [model] gauge: in all, since the engine started
# --- Metrics: operator -------------------------------------------------------------------------------
METRIC_OPERATOR_RECONCILES: Final = "autoglm_operator_reconcile_total"  # [result]
METRIC_OPERATOR_RECONCILE_SECONDS: Final = "autoglm_operator_reconcile_seconds"
METRIC_OPERATOR_WRITES: Final = "autoglm_operator_writes_total"  # [verb, kind]
METRIC_OPERATOR_DESIRED: Final = "autoglm_desired_replicas"  # [namespace, deployment, pool]
METRIC_OPERATOR_CURRENT: Final = "autoglm_current_replicas"  # [namespace, deployment, pool]
METRIC_OPERATOR_READY: Final = "autoglm_ready_replicas"  # [namespace, deployment, pool]
METRIC_OPERATOR_LIMITED: Final = "autoglm_scaling_limited"  # [namespace, deployment, pool, reason] 0 or 1
METRIC_OPERATOR_PANIC: Final = "autoglm_scaling_panic"  # [namespace, deployment, pool] 0 or 1
METRIC_OPERATOR_FALLBACK: Final = "autoglm_scaling_fallback"  # [namespace, deployment, pool] 0 or 1
METRIC_OPERATOR_CAPACITY: Final = "autoglm_replica_capacity_tokens_per_second"  # [namespace, deployment, pool]
METRIC_OPERATOR_STARTUP: Final = "autoglm_replica_startup_seconds"  # [namespace, deployment, pool] learned p90
METRIC_OPERATOR_TICK_SECONDS: Final = "autoglm_operator_scaling_tick_seconds"
METRIC_OPERATOR_SOURCE_SUCCESS: Final = "autoglm_operator_metrics_last_success_timestamp_seconds"

# Labels of the series in Prometheus (target labels by relabelling; see localcluster/manifests and docs).
SERIES_LABEL_NAMESPACE: Final = "namespace"
SERIES_LABEL_DEPLOYMENT: Final = "autoglm_deployment"
SERIES_LABEL_POOL: Final = "pool"

# --- Files and environment inside containers ----------------------------------------------------------
TLS_CERTIFICATE_KEY: Final = "tls.crt"  # entries of a Secret of type kubernetes.io/tls
TLS_PRIVATE_KEY: Final = "tls.key"
NODE_SPEC_PATH: Final = "/etc/autoglm/engine.json"  # EngineSpec, mounted from the revision's ConfigMap
NODE_SPEC_KEY: Final = "engine.json"
GATEWAY_CONFIG_KEY: Final = "gateway.json"  # key in the gateway's ConfigMap (GatewayConfig)
BUILTIN_MODELS_DIR: Final = "/opt/autoglm/models"
MODEL_MOUNT_DIR: Final = "/models"
TRITON_DIR: Final = "/opt/tritonserver"
ENV_NAMESPACE: Final = "AUTOGLM_NAMESPACE"
ENV_DEPLOYMENT: Final = "AUTOGLM_DEPLOYMENT"
ENV_POD_NAME: Final = "AUTOGLM_POD_NAME"
ENV_CONFIG_MAP: Final = "AUTOGLM_CONFIG_MAP"
ENV_LOG_LEVEL: Final = "AUTOGLM_LOG_LEVEL"
# Operator settings (written by the chart).
ENV_GATEWAY_IMAGE: Final = "AUTOGLM_GATEWAY_IMAGE"
ENV_NODE_IMAGE: Final = "AUTOGLM_NODE_IMAGE"
ENV_IMAGE_PULL_POLICY: Final = "AUTOGLM_IMAGE_PULL_POLICY"
ENV_PROMETHEUS_URL: Final = "AUTOGLM_PROMETHEUS_URL"
ENV_SCALING_INTERVAL: Final = "AUTOGLM_SCALING_INTERVAL_SECONDS"
ENV_WATCH_NAMESPACES: Final = "AUTOGLM_WATCH_NAMESPACES"  # comma-separated; empty = all
ENV_RESYNC_SECONDS: Final = "AUTOGLM_RESYNC_SECONDS"
ENV_ADMIN_PORT: Final = "AUTOGLM_ADMIN_PORT"  # another admin port than the default, for tests

# --- What the scaling engine remembers of one deployment, in a ConfigMap of the operator ---------------------
SCALING_STATE_KEY: Final = "state.json"
SCALING_JOURNAL_KEY: Final = "decisions.json"  # the last decisions that changed something, newest last

# --- Node runtime: exit codes and termination messages --------------------------------------------------
EXIT_BAD_SPEC: Final = 2
EXIT_BAD_REPOSITORY: Final = 3
EXIT_ENGINE_LOAD: Final = 4
EXIT_ENGINE_DEAD: Final = 5
EXIT_OUT_OF_MEMORY: Final = 6  # the engine does not fit below the memory limit
TERMINATION_MESSAGE_PATH: Final = "/dev/termination-log"

# --- Drain (seconds) --------------------------------------------------------------------------------------
ENDPOINT_PROPAGATION_SECONDS: Final = 5  # keep serving after SIGTERM while endpoints catch up
GRACE_MARGIN_SECONDS: Final = 15  # terminationGracePeriodSeconds = drainSeconds + this

_NAME_LIMIT: Final = 63
_HASH_CHARS: Final = 8


def short_hash(text: str) -> str:
    """Return the first 8 hexadecimal characters of the text's SHA-256."""
    return hashlib.sha256(text.encode()).hexdigest()[:_HASH_CHARS]


def bounded_name(*parts: str) -> str:
    """Join the parts with '-' and keep the result within 63 characters.

    A name that would be too long is cut and ends in a hash of the whole, so that two long names that differ only
    at the end stay different.
    """
    name = "-".join(parts)
    if len(name) <= _NAME_LIMIT:
        return name
    return f"{name[: _NAME_LIMIT - _HASH_CHARS - 1].rstrip('-.')}-{short_hash(name)}"


def revision_name(deployment: str, pool: str, revision: str) -> str:
    """Name of the Deployment, Service and ConfigMap of one pool revision: `<deployment>-<pool>-<hash8>`.

    The hash always survives: the front part is cut (and hashed) when the name would be too long.
    """
    front = f"{deployment}-{pool}"
    room = _NAME_LIMIT - len(revision) - 1
    if len(front) > room:
        front = f"{front[: room - _HASH_CHARS - 1].rstrip('-.')}-{short_hash(front)}"
    return f"{front}-{revision}"


def pool_budget_name(deployment: str, pool: str) -> str:
    """Name of a pool's PodDisruptionBudget."""
    return bounded_name(deployment, pool, "workers")


def gateway_name(deployment: str) -> str:
    """Name of the gateway's Deployment, Service, ConfigMap, ServiceAccount, Role and PodDisruptionBudget."""
    return bounded_name(deployment, COMPONENT_GATEWAY)


def pool_scale_name(deployment: str, pool: str) -> str:
    """Name of a pool's AutoGLMPoolScale."""
    return bounded_name(deployment, pool)


def may_be_child(deployment: str, child: str) -> bool:
    """Tell whether an object of that name may be a child of a resource: names begin with its, which may be cut.

    >>> may_be_child("shop", "shop-light-0a1b2c3d"), may_be_child("shop", "store-light-0a1b2c3d")
    (True, False)
    """
    return child.startswith(deployment[: _NAME_LIMIT - 2 * (_HASH_CHARS + 1)])


def scaling_state_name(deployment: str) -> str:
    """Name of the ConfigMap with what the scaling engine remembers."""
    return bounded_name(deployment, "scaling")


def gateway_url(deployment: str, namespace: str, *, tls: bool = False) -> str:
    """Address of a deployment's gateway inside the cluster."""
    return f"{'https' if tls else 'http'}://{gateway_name(deployment)}.{namespace}.svc"


def label_value(name: str) -> str:
    """Return a name as a label value: at most 63 characters, cut with a hash when longer."""
    return bounded_name(name)
