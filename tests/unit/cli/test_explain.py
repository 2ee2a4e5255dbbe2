from dataclasses import dataclass
from io import StringIO

from rich.console import Console

from autoglm_api.journal import JournalEntry
from autoglm_api.status import Condition, ConditionStatus, Decision, PoolStatus, SignalReport, Status
from autoglm_cli.explain import Told, explanation, explanation_json

NOW = "2026-11-11T20:00:00Z"
READY = Condition(type="Ready", status=ConditionStatus.TRUE, reason="Because", message="why", last_transition_time=NOW)
SIGNALS = [
    SignalReport(signal="TokenDemand", value="900", target="250", proposal=4, freshness="Fresh", source="Prometheus"),
    SignalReport(signal="Concurrency", value="31", target="6", proposal=6, freshness="Fresh", source="memory"),
    SignalReport(signal="KafkaLag", freshness="Held: Missing"),
]
GROWN = Decision(
    replicas=5,
    reason="ScaleUpLimit",
    message="Concurrency [31] asks for 6",
    winner="Concurrency",
    limited="ScaleUpLimit",
    signals=SIGNALS,
    time=NOW,
)
POOL = PoolStatus(name="light", replicas=4, ready_replicas=3, desired_replicas=5, last_decision=GROWN)


def condition(kind: str, status: ConditionStatus, reason: str = "Because", message: str = "why") -> Condition:
    return Condition(type=kind, status=status, reason=reason, message=message, last_transition_time=NOW)


def entries(count: int) -> tuple[JournalEntry, ...]:
    return tuple(
        JournalEntry(pool="light", before=size - 1, decision=Decision(replicas=size, reason=f"Reason{size}", time=NOW))
        for size in range(1, count + 1)
    )


@dataclass
class Printed:
    """What a person reads, as lines without the spaces that align them."""

    lines: list[str]

    def __contains__(self, sentence: str) -> bool:
        return any(sentence in line for line in self.lines)


def told(status: Status, journal: tuple[JournalEntry, ...] = (), last: int = 10) -> Printed:
    console = Console(file=StringIO(), width=200)
    for part in explanation(Told("shop", "assistant", status, journal), last):
        console.print(part)
    written = console.file.getvalue()  # type: ignore[attr-defined]
    return Printed([" ".join(line.split()) for line in written.splitlines()])


def test_a_deployment_without_status_asks_for_the_operator() -> None:
    assert "is it running?" in told(Status())


def test_a_ready_deployment_says_so_first() -> None:
    assert told(Status(conditions=[READY])).lines[0] == "assistant: ready"


def test_an_unready_deployment_gives_reason_and_message() -> None:
    status = Status(conditions=[condition("Ready", ConditionStatus.FALSE, "PoolNotReady", "pool light has no replica")])
    assert "NOT ready (PoolNotReady): pool light has no replica" in told(status)


def test_only_conditions_that_need_attention_are_shown() -> None:
    printed = told(
        Status(
            conditions=[
                READY,
                condition("GatewayReady", ConditionStatus.TRUE, "Fine"),
                condition("Degraded", ConditionStatus.TRUE, "CrashLoop", "worker restarts"),
                condition("ScalingConflict", ConditionStatus.FALSE, "NoConflict"),
                condition("Paused", ConditionStatus.FALSE, "NotPaused"),
            ]
        )
    )
    assert "CrashLoop" in printed
    assert not [quiet for quiet in ("Fine", "NoConflict", "NotPaused") if quiet in printed]


def test_a_pool_shows_counts_and_its_last_decision() -> None:
    printed = told(Status(conditions=[READY], pools=[POOL]))
    assert "pool light: 3 ready of 5 desired (4 exist), revision none" in printed
    assert f"decided 5 at {NOW} (ScaleUpLimit): Concurrency [31] asks for 6" in printed
    assert "limited by ScaleUpLimit" in printed


def test_a_decision_shows_what_each_signal_said_and_which_won() -> None:
    lines = told(Status(conditions=[READY], pools=[POOL])).lines
    assert "TokenDemand 900 250 4 Fresh Prometheus" in lines
    assert "Concurrency 31 6 6 Fresh memory won" in lines
    assert "KafkaLag - Held: Missing -" in lines


def test_the_journal_shows_the_newest_first() -> None:
    lines = told(Status(conditions=[READY]), entries(5), last=3).lines
    assert [line.split()[5] for line in lines if "Reason" in line] == ["Reason5", "Reason4", "Reason3"]
    assert f"{NOW} light 4 -> 5 Reason5 - -" in lines


def test_no_journal_and_none_wanted_show_none() -> None:
    status = Status(conditions=[READY], pools=[POOL])
    assert "newest first" not in told(status)
    assert "newest first" not in told(status, entries(3), last=0)


def test_json_has_the_fields_of_the_api() -> None:
    body = explanation_json(Told("shop", "assistant", Status(conditions=[READY], pools=[POOL]), entries(5)), 2)
    assert (body["name"], body["namespace"], body["verdict"]) == ("assistant", "shop", "ready")
    assert body["pools"][0]["lastDecision"]["signals"][1]["proposal"] == 6
    assert [entry["decision"]["replicas"] for entry in body["decisions"]] == [5, 4]
    assert explanation_json(Told("shop", "assistant", Status()), 0)["decisions"] == []
