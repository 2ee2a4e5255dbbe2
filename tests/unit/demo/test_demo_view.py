from typing import Any

import pytest

from autoglm_demo.figures import Phase
from autoglm_demo.load import endless
from autoglm_demo.records import Record
from autoglm_demo.samples import PoolSample, Sample
from autoglm_demo.screen import line_of
from autoglm_demo.view import view_of
from autoglm_shop.task import Kind


def body(ready: str = "True", observed: int = 2) -> dict[str, Any]:
    condition = {"type": "Ready", "status": ready, "message": "pool large has no ready replica"}
    pools = [{"name": "light", "readyReplicas": 2, "desiredReplicas": 3}, {"name": "large"}]
    status = {"observedGeneration": observed, "conditions": [condition], "pools": pools}
    return {"metadata": {"generation": 2}, "status": status}


def test_a_view_has_the_pools_sizes() -> None:
    view = view_of(body())
    assert view.ready
    assert view.pools == (PoolSample("light", 2, 3), PoolSample("large", 0, 0))


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (body(ready="False"), "no ready replica"),
        (body(observed=1), "not seen this generation"),
        ({"metadata": {"generation": 1}}, "not seen this generation"),
    ],
)
def test_not_ready_says_why(seen: dict[str, Any], why: str) -> None:
    view = view_of(seen)
    assert not view.ready
    assert why in view.why


def test_a_line_shows_the_recent_rate_and_says_when_replicas_are_simulated() -> None:
    records = [Record(Kind.SIMPLE, at, at + 0.5, status=200, pool="light") for at in range(20)]
    sample = Sample(20.0, (PoolSample("light", 2, 3),), nodes=7, in_flight=4)
    line = line_of(Phase("a", "A", records=records), sample)
    assert "1.0 answers/s" in line
    assert "light 2/3" in line
    assert "simulated" not in line
    assert "GPU nodes in use 7 (simulated)" in line_of(Phase("a", "A", simulated=True, records=records), sample)


def test_endless_queries_are_of_one_kind_and_repeat() -> None:
    queries = endless(1, Kind.COMPLEX, among=10)
    seen = [next(queries) for _ in range(30)]
    assert {query.kind for query in seen} == {Kind.COMPLEX}
    assert len({query.prompt for query in seen}) < 10
