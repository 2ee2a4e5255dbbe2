"""The queries behind the replicas' signals, one per kind, each for every pool of the cluster at once.

They are queries of their own because one that fails (a label that matches twice, a histogram with odd buckets) must
not take the gateways' load with it. The parts of a reply are rows per pool, told apart by `autoglm_series`.

Percentages come from whoever measures them, in this order: the engine or Triton on the worker's own page, then NVIDIA's
DCGM exporter, whose series name the pod. Units are made one: Triton reports 0-1, DCGM 0-100 and MiB.
"""

from enum import StrEnum
from typing import Final

from autoglm_api import names
from autoglm_operator.shell.prometheus.query import LONG_WINDOWS, OURS, labelled, rate_of
from autoglm_operator.shell.prometheus.wanted import Kind


class Part(StrEnum):
    """The parts of a reply, as values of `autoglm_series`."""

    VALUE = "value"
    """90th percentile over the replicas in percent, or 95th percentile of a latency in milliseconds."""
    VALID = "valid"
    """Replicas whose figure is within its range."""
    REPORTING = "reporting"
    """Replicas that report any figure."""
    AGE = "age"
    """Age of the oldest scrape of a worker, in seconds."""
    WORKERS = "workers"
    """Workers that are scrape targets, up or not."""
    RATE = "rate"
    """Queries per second that a latency was measured on."""
    QUEUE = "queue"
    """95th percentile of the time in the gateways' queue, in milliseconds."""


POOL: Final = f"{names.SERIES_LABEL_NAMESPACE}, {names.SERIES_LABEL_DEPLOYMENT}, {names.SERIES_LABEL_POOL}"
_REPLICA: Final = f"{POOL}, instance, pod"
_WORKERS: Final = f'{OURS},{names.SERIES_LABEL_POOL}!=""'
_KV_BLOCKS: Final = "nv_trt_llm_kv_cache_block_metrics"
_VLLM_CACHE: Final = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
# MiB over MiB: the unit cancels out.
_DCGM_MEMORY: Final = "(100 * DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE))"
_WORKER_PARTS: Final = {
    Part.WORKERS: f"count by ({POOL}) (up{{{_WORKERS}}})",
    Part.AGE: f"max by ({POOL}) (time() - timestamp(up{{{_WORKERS}}}))",
}


def query_of(kind: Kind) -> str:
    """Return the PromQL of one kind; its length does not depend on the number of pools."""
    match kind:
        case Kind.FIRST_TOKEN:
            return _latency(names.METRIC_NODE_FIRST_TOKEN_SECONDS, queue=True)
        case Kind.PER_TOKEN:
            return _latency(names.METRIC_NODE_PER_TOKEN_SECONDS, queue=False)
        case Kind.KV_CACHE:
            return _share(_kv_cache())
        case Kind.GPU_UTILIZATION:
            return _share(f"100 * nv_gpu_utilization{{{OURS}}} or on ({POOL}) {_dcgm('DCGM_FI_DEV_GPU_UTIL')}")
        case Kind.GPU_MEMORY:
            used = _ratio(f"nv_gpu_memory_used_bytes{{{OURS}}}", f"nv_gpu_memory_total_bytes{{{OURS}}}")
            return _share(f"{used} or on ({POOL}) {_dcgm(_DCGM_MEMORY)}")


def _kv_cache() -> str:
    used = f'{_KV_BLOCKS}{{{OURS},kv_cache_block_type="used"}}'
    most = f'{_KV_BLOCKS}{{{OURS},kv_cache_block_type="max"}}'
    triton = f"100 * {used} / ignoring (kv_cache_block_type) {most}"
    vllm = " or ".join(f"100 * {name}{{{OURS}}}" for name in _VLLM_CACHE)
    ours = _ratio(f"{names.METRIC_ENGINE_CACHED_TOKENS}{{{OURS}}}", f"{names.METRIC_ENGINE_CACHE_LIMIT}{{{OURS}}}")
    return f"{triton} or on ({POOL}) ({vllm}) or on ({POOL}) {ours}"


def _ratio(used: str, total: str) -> str:
    return f"100 * {used} / {total}"


def _dcgm(expression: str) -> str:
    """Give a DCGM series the labels of the pool whose pod has the GPU.

    The exporter names the pod in `pod` and `namespace`, which Prometheus renames to `exported_...` unless it honours
    the exporter's labels.
    """
    named = expression
    for label in ("pod", names.SERIES_LABEL_NAMESPACE):
        named = f'label_replace({named}, "{label}", "$1", "exported_{label}", "(.+)")'
    gpus = f"max by ({names.SERIES_LABEL_NAMESPACE}, pod, gpu, UUID) ({named})"
    pods = f'max by ({POOL}, pod) (0 * up{{{_WORKERS},pod!=""}} + 1)'
    labels = f"{names.SERIES_LABEL_DEPLOYMENT}, {names.SERIES_LABEL_POOL}"
    return f"{gpus} * on ({names.SERIES_LABEL_NAMESPACE}, pod) group_left ({labels}) {pods}"


def _share(percent: str) -> str:
    """Return the parts of a percentage that every replica (or each of its GPUs) reports."""
    within = f"({percent}) >= 0 <= 100"
    return labelled(
        _WORKER_PARTS
        | {
            Part.VALUE: f"quantile by ({POOL}) (0.9, {within})",
            Part.VALID: f"count by ({POOL}) (count by ({_REPLICA}) ({within}))",
            Part.REPORTING: f"count by ({POOL}) (count by ({_REPLICA}) ({percent}))",
        }
    )


def _latency(metric: str, *, queue: bool) -> str:
    """Return the parts of a latency that the replicas measure in a histogram."""
    parts = _WORKER_PARTS | {
        Part.VALUE: _p95(metric),
        Part.RATE: f"sum by ({POOL}) ({rate_of(f'{metric}_count', LONG_WINDOWS)})",
        Part.REPORTING: f"count by ({POOL}) ({metric}_count{{{OURS}}})",
    }
    if queue:
        parts[Part.QUEUE] = _p95(names.METRIC_GATEWAY_QUEUE_SECONDS)
    return labelled(parts)


def _p95(metric: str) -> str:
    buckets = rate_of(f"{metric}_bucket", LONG_WINDOWS)
    return f"1000 * histogram_quantile(0.95, sum by ({POOL}, le) ({buckets}))"
