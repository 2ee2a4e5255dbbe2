"""What the status tells of a pool's size: who decided, on what figures, and what stood in the way."""

from dataclasses import replace

import pytest

from autoglm_api.spec import Mode
from autoglm_api.status import ConditionType, Decision, Reason
from autoglm_operator.core.scaling_status import last_decision, scaling_findings
from autoglm_operator.core.sizing import Sizing
from autoglm_operator.scaling.model import PoolDecision, Proposal
from support.simulated_kubernetes import NOW

INTERNAL = Sizing(Mode.INTERNAL, 3)
ROW = Proposal("Concurrency", "16", "4", 4, "Fresh", "Prometheus")


def _decision(reason: Reason = Reason.DESIRED_WITHIN_RANGE, limited: Reason | None = None) -> PoolDecision:
    return PoolDecision(3, reason, "Concurrency", "words", metrics_available=True, limited=limited, at=NOW)


def _found(sizing: Sizing, decision: PoolDecision | None, kind: ConditionType, *, paused: bool = False) -> object:
    found = {one.type: one for one in scaling_findings(sizing, decision, paused=paused)}
    return (str(found[kind].status), str(found[kind].reason)) if kind in found else None


@pytest.mark.parametrize(
    ("sizing", "decision", "paused", "active"),
    [
        (INTERNAL, _decision(), False, ("True", "MetricsFresh")),
        (INTERNAL, replace(_decision(), metrics_available=False), False, ("True", "MetricsFresh")),
        (INTERNAL, _decision(Reason.METRICS_MISSING), False, ("False", "MetricsMissing")),
        (INTERNAL, _decision(Reason.METRICS_FALLBACK), False, ("False", "MetricsFallback")),
        (INTERNAL, _decision(Reason.MANUAL_ZERO), False, ("False", "ManualZero")),
        (INTERNAL, _decision(), True, ("False", "Paused")),
        (INTERNAL, None, False, None),
        (Sizing(Mode.EXTERNAL, 3, asked=3), None, False, ("True", "External")),
        (Sizing(Mode.ADVISORY, 3), _decision(), False, ("False", "Advisory")),
    ],
)
def test_scaling_is_active_while_somebody_decides_on_figures(
    sizing: Sizing, decision: PoolDecision | None, *, paused: bool, active: object
) -> None:
    assert _found(sizing, decision, ConditionType.SCALING_ACTIVE, paused=paused) == active


@pytest.mark.parametrize(
    ("hindrance", "limited", "said"),
    [
        (None, None, ("False", "DesiredWithinRange")),
        (None, Reason.GPU_BUDGET, ("True", "GPUBudget")),
        (None, Reason.INSUFFICIENT_GPU, ("True", "InsufficientGPU")),
        (Reason.QUOTA, None, ("True", "QuotaExceeded")),
        (Reason.QUOTA, Reason.INSUFFICIENT_GPU, ("True", "QuotaExceeded")),
        (Reason.PAUSED, None, ("True", "Paused")),
    ],
)
def test_what_stands_in_the_way_is_named(hindrance: Reason | None, limited: Reason | None, said: object) -> None:
    sizing = replace(INTERNAL, hindrance=hindrance)
    assert _found(sizing, _decision(limited=limited), ConditionType.SCALING_LIMITED) == said


def _recorded(decision: PoolDecision, before: Decision | None = None, sizing: Sizing = INTERNAL) -> Decision:
    found = last_decision(sizing, decision, before, NOW)
    assert found is not None
    return found


def test_a_decision_is_recorded_with_the_table_behind_it() -> None:
    found = _recorded(replace(_decision(limited=Reason.SCALE_UP_LIMIT), proposals=(ROW,)))
    assert found.limited == "ScaleUpLimit"
    assert found.signals is not None
    assert found.signals[0].to_json() == {
        "signal": "Concurrency",
        "value": "16",
        "target": "4",
        "proposal": 4,
        "freshness": "Fresh",
        "source": "Prometheus",
    }


def test_the_table_stays_within_what_the_status_allows() -> None:
    long = Proposal("s" * 200, "1" * 80, "2" * 80, None, "f" * 200)
    found = _recorded(replace(_decision(), message="m" * 9000, proposals=(long,) * 40))
    assert found.signals is not None
    assert (len(found.signals), len(found.message)) == (20, 4096)
    assert (len(found.signals[0].signal), len(found.signals[0].freshness)) == (100, 64)


@pytest.mark.parametrize(
    ("change", "written"),
    [
        ({"message": "other figures", "proposals": (replace(ROW, value="17"),)}, False),
        ({"replicas": 4}, True),
        ({"reason": Reason.PANIC}, True),
        ({"winner": "TokenDemand"}, True),
        ({"limited": Reason.SCALE_UP_LIMIT}, True),
    ],
)
def test_only_news_replaces_what_is_recorded(change: dict[str, object], *, written: bool) -> None:
    before = _recorded(replace(_decision(), proposals=(ROW,)))
    after = _recorded(replace(replace(_decision(), proposals=(ROW,)), **change), before)  # type: ignore[arg-type]
    assert (after is not before) == written
