"""A worker's own metrics page: how much of its cache and of its GPUs is in use. Pure."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from autoglm_api import names
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from autoglm_operator.shell.prometheus.wanted import Kind

SOURCE: Final = "the replicas themselves"
_KV_BLOCKS: Final = "nv_trt_llm_kv_cache_block_metrics"
_BLOCK_TYPE: Final = "kv_cache_block_type"
_SHARES: Final = ("vllm:kv_cache_usage_perc", "vllm:gpu_cache_usage_perc")
_UTILIZATION: Final = "nv_gpu_utilization"
_MEMORY_USED: Final = "nv_gpu_memory_used_bytes"
_MEMORY_TOTAL: Final = "nv_gpu_memory_total_bytes"
_WANTED: Final = (
    *(_KV_BLOCKS, *_SHARES, _UTILIZATION, _MEMORY_USED, _MEMORY_TOTAL),
    *(names.METRIC_ENGINE_CACHED_TOKENS, names.METRIC_ENGINE_CACHE_LIMIT),
)


def percentages(page: str) -> dict[Kind, tuple[float, ...]]:
    """Return what a page says of each kind in percent, one figure per engine or GPU; what it does not say is absent.

    Raises:
        ValueError: a line that is no exposition.
    """
    lines = "\n".join(line for line in page.splitlines() if line.startswith(_WANTED)) + "\n"
    samples = [sample for family in text_string_to_metric_families(lines) for sample in family.samples]
    found = {
        Kind.KV_CACHE: tuple(_kv(samples)),
        Kind.GPU_UTILIZATION: tuple(100 * sample.value for sample in _of(samples, _UTILIZATION)),
        Kind.GPU_MEMORY: tuple(_ratios(_of(samples, _MEMORY_USED), _of(samples, _MEMORY_TOTAL))),
    }
    return {kind: values for kind, values in found.items() if values}


def reading_of(kind: Kind, pages: Sequence[Mapping[Kind, tuple[float, ...]] | NoData]) -> Reading:
    """Return the 90th percentile over the replicas in thousandths; a silent or senseless replica is never 0."""
    told = [page[kind] for page in pages if not isinstance(page, NoData) and kind in page]
    sound = [value for values in told for value in values if 0 <= value <= 100]  # noqa: PLR2004 - percent
    silent = len(pages) - len([values for values in told if all(0 <= value <= 100 for value in values)])  # noqa: PLR2004
    if not sound:
        return NoData(Problem.MISSING, f"none of {len(pages)} replicas tells it directly")
    milli = round(quantile(sound, 0.9) * 1000)
    if silent:
        return AtLeast(
            milli, Problem.PARTIAL, f"{len(pages) - silent} of {len(pages)} replicas tell it directly", SOURCE
        )
    return Fresh(milli, SOURCE)


def quantile(values: Iterable[float], rank: float) -> float:
    """Return a quantile as Prometheus does, between the two nearest values.

    >>> quantile([10, 85], 0.9)
    77.5
    """
    ordered = sorted(values)
    place = rank * (len(ordered) - 1)
    low, high = ordered[math.floor(place)], ordered[math.ceil(place)]
    return low + (high - low) * (place - math.floor(place))


def _kv(samples: Sequence[Sample]) -> Iterator[float]:
    blocks = _of(samples, _KV_BLOCKS)
    used = [sample for sample in blocks if sample.labels.get(_BLOCK_TYPE) == "used"]
    most = [sample for sample in blocks if sample.labels.get(_BLOCK_TYPE) == "max"]
    yield from _ratios(used, most)
    for name in _SHARES:
        yield from (100 * sample.value for sample in _of(samples, name))
    yield from _ratios(_of(samples, names.METRIC_ENGINE_CACHED_TOKENS), _of(samples, names.METRIC_ENGINE_CACHE_LIMIT))


def _of(samples: Iterable[Sample], name: str) -> list[Sample]:
    return [sample for sample in samples if sample.name == name]


def _ratios(used: Sequence[Sample], total: Sequence[Sample]) -> Iterator[float]:
    """Pair the two by their labels, and yield percentages; NaN where the whole is nothing."""
    wholes = {_identity(sample): sample.value for sample in total}
    for sample in used:
        whole = wholes.get(_identity(sample))
        if whole is not None:
            yield 100 * sample.value / whole if whole else math.nan


def _identity(sample: Sample) -> frozenset[tuple[str, str]]:
    return frozenset((name, value) for name, value in sample.labels.items() if name != _BLOCK_TYPE)
