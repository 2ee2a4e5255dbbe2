from autoglm_api.status import Condition, ConditionStatus, Decision, PoolStatus, Status
from autoglm_cli.explain import explanation

NOW = "2026-11-11T20:00:00Z"


def condition(kind: str, status: ConditionStatus, reason: str = "Because", message: str = "why") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=NOW)


def told(status: Status) -> str:
    return "\n".join(explanation("shop", status))


def test_a_deployment_without_status_asks_for_the_operator() -> None:
    assert "is it running?" in told(Status())


def test_a_ready_deployment_says_so_first() -> None:
    assert told(Status(conditions=[condition("Ready", ConditionStatus.TRUE)])).startswith("shop: ready")


def test_an_unready_deployment_gives_reason_and_message() -> None:
    status = Status(conditions=[condition("Ready", ConditionStatus.FALSE, "PoolNotReady", "pool light has no replica")])
    assert "NOT ready (PoolNotReady): pool light has no replica" in told(status)


def test_only_conditions_that_need_attention_are_shown() -> None:
    status = Status(
        conditions=[
            condition("Ready", ConditionStatus.TRUE),
            condition("GatewayReady", ConditionStatus.TRUE, "Fine"),
            condition("Degraded", ConditionStatus.TRUE, "CrashLoop", "worker restarts"),
            condition("Paused", ConditionStatus.FALSE, "NotPaused"),
        ]
    )
    assert "CrashLoop" in told(status)
    assert "Fine" not in told(status)
    assert "NotPaused" not in told(status)


def test_a_pool_shows_counts_and_its_last_decision() -> None:
    decision = Decision(replicas=6, reason="DesiredWithinRange", message="Concurrency 31 asks for 6", time=NOW)
    pool = PoolStatus(name="light", replicas=4, ready_replicas=3, desired_replicas=6, last_decision=decision)
    lines = told(Status(conditions=[condition("Ready", ConditionStatus.TRUE)], pools=[pool]))
    assert "pool light: 3 ready of 6 desired (4 exist)" in lines
    assert "decided 6" in lines
    assert "Concurrency 31 asks for 6" in lines
