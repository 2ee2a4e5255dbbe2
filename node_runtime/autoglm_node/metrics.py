"""What the node counts, and the one page that also carries Triton's own metrics."""

from collections.abc import Iterable
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from autoglm_api import names
from autoglm_node.query import Tally
from autoglm_node.statistics import Took

_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_LATE_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
_TOKEN_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2.5)


class Metrics:
    """The node's series; all exist from the start, so that nothing has to be guessed from absence."""

    def __init__(self, model: str) -> None:
        """Make the series of one model's node in a registry of their own."""
        self.registry = CollectorRegistry()
        self.took = Took()
        registry = self.registry
        self.in_flight = Gauge(names.METRIC_NODE_IN_FLIGHT, "Queries inside, below the cap", registry=registry)
        self.queries = Counter(names.METRIC_NODE_QUERIES, "Queries by HTTP status", ["code"], registry=registry)
        self.rejected = Counter(names.METRIC_NODE_REJECTED, "Refused queries", ["reason"], registry=registry)
        self.deadline_late = Histogram(
            names.METRIC_NODE_DEADLINE_LATE_SECONDS,
            "How long after a deadline its query was interrupted",
            buckets=_LATE_SECONDS,
            registry=registry,
        )
        self.prompt_tokens = Counter(names.METRIC_NODE_PROMPT_TOKENS, "Prompt tokens read", registry=registry)
        self.output_tokens = Counter(names.METRIC_NODE_OUTPUT_TOKENS, "Tokens produced", registry=registry)
        self.first_token_seconds = Histogram(
            names.METRIC_NODE_FIRST_TOKEN_SECONDS, "Arrival to first token", buckets=_SECONDS, registry=registry
        )
        self.per_token_seconds = Histogram(
            names.METRIC_NODE_PER_TOKEN_SECONDS,
            "Mean time of a token after the first, by query",
            buckets=_TOKEN_SECONDS,
            registry=registry,
        )
        ready = Gauge(names.METRIC_NODE_MODEL_READY, "1 while a query would be answered", ["model"], registry=registry)
        self.model_ready = ready.labels(model=model)
        self.draining = Gauge(names.METRIC_NODE_DRAINING, "1 while draining", registry=registry)
        self.canary_seconds = Gauge(names.METRIC_NODE_CANARY_SECONDS, "Last canary query", registry=registry)
        self.memory_share = Gauge(
            names.METRIC_NODE_MEMORY_SHARE, "Share of the memory limit in use", ["source"], registry=registry
        )
        self.memory_pressure = Gauge(
            names.METRIC_NODE_MEMORY_PRESSURE, "Level of the memory guard, 0 (calm) to 4", registry=registry
        )
        self.oom_kills = Counter(names.METRIC_NODE_OOM_KILLS, "Processes killed for memory", registry=registry)
        self.start_seconds = Gauge(names.METRIC_NODE_START_SECONDS, "Process start to ready", registry=registry)

    def count_answer(self, prompt_tokens: int, tally: Tally, seconds_after_first: float | None = None) -> None:
        """Count the tokens of one query, complete or not; the time is that from its first token to its end."""
        self.prompt_tokens.inc(prompt_tokens)
        self.output_tokens.inc(tally.tokens)
        if seconds_after_first is not None and tally.tokens > 1:
            self.per_token_seconds.observe(seconds_after_first / (tally.tokens - 1))

    def page(self, triton: str) -> bytes:
        """Return our exposition followed by Triton's text ("" when Triton did not answer: absent, never 0)."""
        ours = generate_latest(self.registry)
        taken = {family.name for family in self.registry.collect()}
        return ours + foreign(triton.splitlines(), taken).encode()


def foreign(lines: Iterable[str], taken: set[str]) -> str:
    """Return another process's exposition without the families that we expose ourselves.

    A family's lines (HELP, TYPE, samples) follow each other in the text format, so one look at the name that TYPE or
    HELP gives decides for all of them.
    """
    kept: list[str] = []
    wanted = True
    for line in lines:
        if line.startswith(("# HELP ", "# TYPE ")):
            wanted = line.split(" ", 3)[2].removesuffix("_total") not in taken
        if wanted and line.strip():
            kept.append(line)
    return "\n".join(kept) + "\n" if kept else ""
