from contextlib import suppress

import pytest

from autoglm_node.accounting import counted
from autoglm_node.failure import RefusalError
from autoglm_node.metrics import Metrics
from autoglm_node.statistics import Took, described


def test_answered_and_failed_queries_are_told_apart() -> None:
    took = Took()
    for nanoseconds, answered in ((5, True), (7, True), (100, False)):
        took.add(nanoseconds, answered=answered)
    told = described("m", "1", took)
    assert told["inference_stats"] == {"success": {"count": 2, "ns": 12}, "fail": {"count": 1, "ns": 100}}
    assert (told["name"], told["inference_count"]) == ("m", 2)


@pytest.mark.parametrize(
    ("error", "code", "ended"),
    [
        (None, "200", (1, 0)),
        (RefusalError(429, "full", code="replica_full"), "429", (0, 1)),
        (ConnectionResetError(), "499", (0, 1)),
        (ZeroDivisionError(), "500", (0, 1)),
    ],
)
def test_every_query_s_end_is_counted(error: Exception | None, code: str, ended: tuple[int, int]) -> None:
    metrics = Metrics("m")
    with suppress(RefusalError, ConnectionError, ZeroDivisionError), counted(metrics):
        if error is not None:
            raise error
    assert (metrics.took.answered.count, metrics.took.failed.count) == ended
    assert metrics.registry.get_sample_value("autoglm_node_queries_total", {"code": code}) == 1
    assert metrics.took.answered.nanoseconds + metrics.took.failed.nanoseconds > 0
