"""The engine's figures on Triton's own metrics page; only inside Triton's Python backend."""

from typing import Final

from autoglm_api import names
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.metric_family import gauge_family
from autoglm_node.engine.packing import Bucket

LABEL_BUCKET: Final = "max_tokens"

_OF_MODEL: Final = {
    names.METRIC_ENGINE_RUNNING: "Sequences that hold a slot",
    names.METRIC_ENGINE_WAITING: "Sequences without a slot",
    names.METRIC_ENGINE_CACHED_TOKENS: "Tokens whose keys and values are held",
    names.METRIC_ENGINE_CACHE_LIMIT: "Tokens for which there is room",
    names.METRIC_ENGINE_PROMPT_TOKENS: "Prompt tokens read since the engine started",
    names.METRIC_ENGINE_PADDING_TOKENS: "Tokens of padding read beside them",
    names.METRIC_ENGINE_STEP_TOKENS: "Most prompt tokens that a step reads now",
    names.METRIC_ENGINE_QUEUE_DELAY: "How long a query waits for company now",
    names.METRIC_ENGINE_RECLAIMS: "Times that unused memory was given back",
    names.METRIC_ENGINE_RECLAIMED: "Bytes given back since the engine started",
}
_BUCKET_TEXT: Final = "Most sequences whose prompts have up to max_tokens tokens in work at once now"


class Gauges:
    """All gauges of one model."""

    def __init__(self, model: str, buckets: tuple[Bucket, ...], cache_limit: int) -> None:
        """Make them; `cache_limit` is how many tokens the slots have room for."""
        labels = {"model": model}
        self._gauges = {name: gauge_family(name, text).Metric(labels=labels) for name, text in _OF_MODEL.items()}
        limits = gauge_family(names.METRIC_ENGINE_BUCKET_LIMIT, _BUCKET_TEXT)
        self._limits = [limits.Metric(labels={**labels, LABEL_BUCKET: str(one.max_tokens)}) for one in buckets]
        self._gauges[names.METRIC_ENGINE_CACHE_LIMIT].set(cache_limit)

    def publish(self, loop: DecodeLoop, reclaims: int, reclaimed_bytes: int) -> None:
        """Set them to what is true now."""
        counts = loop.counts
        for name, value in (
            (names.METRIC_ENGINE_RUNNING, loop.running),
            (names.METRIC_ENGINE_WAITING, loop.waiting),
            (names.METRIC_ENGINE_CACHED_TOKENS, loop.cached_tokens),
            (names.METRIC_ENGINE_PROMPT_TOKENS, counts.prompt_tokens),
            (names.METRIC_ENGINE_PADDING_TOKENS, counts.padded_tokens - counts.prompt_tokens),
            (names.METRIC_ENGINE_STEP_TOKENS, loop.batching.token_budget),
            (names.METRIC_ENGINE_QUEUE_DELAY, loop.batching.queue_delay_seconds),
            (names.METRIC_ENGINE_RECLAIMS, reclaims),
            (names.METRIC_ENGINE_RECLAIMED, reclaimed_bytes),
        ):
            self._gauges[name].set(value)
        for gauge, bucket in zip(self._limits, loop.batching.buckets, strict=True):
            gauge.set(bucket.max_batch_size)
