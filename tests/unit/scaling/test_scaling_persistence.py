import json
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from autoglm_api.journal import JOURNAL_LENGTH, JournalEntry, journal_of, journal_text
from autoglm_api.status import Reason
from autoglm_operator.scaling.decide import PoolState
from autoglm_operator.scaling.deployment import DeploymentState
from autoglm_operator.scaling.history import History, Recommendation
from autoglm_operator.scaling.model import PoolDecision, Proposal
from autoglm_operator.scaling.persistence import JOURNAL_LIMIT, STATE_LIMIT, dump, load, noted
from support.scaling_times import at

ROW = Proposal("Concurrency", "31", "6", 6, "Fresh", "the gateways themselves")
GROWN = PoolDecision(6, Reason.SCALE_UP_LIMIT, "Concurrency", "3 -> 6", True, Reason.SCALE_UP_LIMIT, at(0), (ROW,))


def remembering(recommendations: int) -> DeploymentState:
    history = History(tuple(Recommendation(at(second), second % 7) for second in range(recommendations)))
    return DeploymentState({f"pool-{index}": PoolState(history) for index in range(8)})


def test_what_is_dumped_is_loaded() -> None:
    state = remembering(60)
    assert load(dump(state, at(100)), at(200)) == (state, "")


def test_a_large_state_keeps_the_newest_of_every_pool() -> None:
    text = dump(remembering(1600), at(1600))
    assert len(text) <= STATE_LIMIT
    state = load(text, at(1601)).state
    assert state is not None
    assert {pool.history.recommendations[-1] for pool in state.pools.values()} == {Recommendation(at(1599), 3)}
    assert all(len(pool.history.recommendations) > 300 for pool in state.pools.values())


def changed(**fields: Any) -> str:
    body = json.loads(dump(remembering(2), at(0)))
    return json.dumps({**body, **fields})


@pytest.mark.parametrize(
    ("text", "now", "problem"),
    [
        ("", at(0), "no JSON"),
        ("{]", at(0), "no JSON"),
        ("[1]", at(0), "not the operator's"),
        ('{"pools": {}}', at(0), "not the operator's"),
        (changed(version=2), at(0), "version 2, not 1"),
        (changed(savedAt=at(61).isoformat()), at(0), "not in the past"),
        (changed(savedAt="2026-01-01T00:00:00"), at(0), "not in the past"),
        (changed(state={"pools": {"light": {"history": 3}}}), at(0), "pools.light.history"),
        (changed(state={"pools": {"light": {"history": {"recommendations": [["x", 1]]}}}}), at(0), "cannot be read"),
    ],
)
def test_what_is_no_state_gives_a_sentence(text: str, now: datetime, problem: str) -> None:
    restored = load(text, now)
    assert restored.state is None
    assert problem in restored.problem


def test_a_clock_a_little_behind_is_no_reason_to_forget() -> None:
    assert load(changed(savedAt=at(59).isoformat()), at(0)).state == remembering(2)


def test_an_entry_carries_the_whole_decision() -> None:
    (entry,) = noted((), "light", 3, GROWN)
    assert (entry.pool, entry.before, entry.decision.replicas, entry.decision.time) == (
        "light",
        3,
        6,
        "2026-01-01T00:00:00Z",
    )
    assert entry.decision.signals is not None
    assert entry.decision.signals[0].to_json() == {
        "signal": "Concurrency",
        "value": "31",
        "target": "6",
        "proposal": 6,
        "freshness": "Fresh",
        "source": "the gateways themselves",
    }


def test_the_journal_keeps_the_last_decisions() -> None:
    journal: tuple[JournalEntry, ...] = ()
    for second in range(JOURNAL_LENGTH + 10):
        journal = noted(journal, "light", second, replace(GROWN, at=at(second)))
    assert [entry.before for entry in journal] == list(range(10, JOURNAL_LENGTH + 10))
    assert journal_of(journal_text(journal)) == journal


def test_long_decisions_leave_room_for_fewer() -> None:
    journal: tuple[JournalEntry, ...] = ()
    wordy = replace(GROWN, message="m" * 9000, proposals=(replace(ROW, signal="s" * 200),) * 30)
    for second in range(JOURNAL_LENGTH):
        journal = noted(journal, "light", second, wordy)
    assert journal[-1].before == JOURNAL_LENGTH - 1
    assert 10 < len(journal) < JOURNAL_LENGTH
    assert len(journal_text(journal)) < 1.1 * JOURNAL_LIMIT


@pytest.mark.parametrize("text", ["", "{", "{}", '["x"]', "null"])
def test_a_broken_journal_is_empty(text: str) -> None:
    assert journal_of(text) == ()


def test_an_entry_of_another_version_is_left_out() -> None:
    journal = noted((), "light", 3, GROWN)
    foreign = json.loads(journal_text(journal))[0] | {"novelty": 1}
    assert journal_of(json.dumps([foreign, *json.loads(journal_text(journal))])) == journal
