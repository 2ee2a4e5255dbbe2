from dataclasses import replace
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from autoglm_api import names
from autoglm_api.spec import Signal, SignalType
from autoglm_api.status import Reason
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.decide import PoolState
from autoglm_operator.scaling.model import PoolDecision, PoolTarget
from autoglm_operator.scaling.panic import PanicState
from autoglm_operator.shell.scaling_metrics import ScalingMetrics
from support.scaling_pools import scaling

KEY = ObjectKey("shop", "assistant")
LABELS = {"namespace": "shop", "deployment": "assistant", "pool": "light"}
NOW = datetime(2026, 11, 22, tzinfo=UTC)
TARGET = PoolTarget(
    scaling(1, 9, signals=[Signal(type=SignalType.TOKEN_DEMAND, target="900")]), 3, 2, rolling_out=False
)
STATE = PoolState(startups=(40.0, 50.0, 45.0), panic=PanicState(until=NOW + timedelta(seconds=9)))
DECISION = PoolDecision(
    5, Reason.METRICS_FALLBACK, None, "", metrics_available=False, limited=Reason.TOO_MANY_REPLICAS, at=NOW
)


def test_a_decision_and_what_it_rests_on_are_exported_until_the_pool_is_gone() -> None:
    registry = CollectorRegistry()
    metrics = ScalingMetrics(registry)
    metrics.show(KEY, "light", TARGET, DECISION, STATE)
    found = {name: registry.get_sample_value(name, LABELS) for name in EXPECTED}
    assert found == EXPECTED
    metrics.forget(KEY, "light")
    assert {registry.get_sample_value(name, LABELS) for name in EXPECTED} == {None}


EXPECTED = {
    names.METRIC_OPERATOR_DESIRED: 5,
    names.METRIC_OPERATOR_CURRENT: 3,
    names.METRIC_OPERATOR_READY: 2,
    names.METRIC_OPERATOR_PANIC: 1,
    names.METRIC_OPERATOR_FALLBACK: 1,
    names.METRIC_OPERATOR_CAPACITY: 900,
    names.METRIC_OPERATOR_STARTUP: 50,
}


def test_only_the_reason_in_force_limits() -> None:
    registry = CollectorRegistry()
    metrics = ScalingMetrics(registry)
    for limited in (Reason.TOO_MANY_REPLICAS, Reason.GPU_BUDGET, None):
        metrics.show(KEY, "light", TARGET, replace(DECISION, limited=limited), STATE)
        on = {
            reason: registry.get_sample_value(names.METRIC_OPERATOR_LIMITED, LABELS | {"reason": reason})
            for reason in (Reason.TOO_MANY_REPLICAS, Reason.GPU_BUDGET)
        }
        assert {reason for reason, value in on.items() if value} == ({limited} if limited else set())
