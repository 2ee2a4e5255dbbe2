"""Sizes that fill whole nodes, and what a decision says about the room that there is."""

from dataclasses import replace

import pytest

from autoglm_api.spec import Granularity, Scaling
from autoglm_api.status import Reason
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.model import PoolDecision, PoolSnapshot
from autoglm_operator.scaling.room import Room, whole_nodes
from support.scaling_pools import fresh_load, scaling, snapshot
from support.scaling_times import at, behavior, pods

ROOM = Room(fits=1, per_node=4, group="a100", nodes=2, free_gpus=1, all_gpus=8)
QUICK = behavior(up={"policies": [pods(100, 1)]}, down={"stabilizationWindowSeconds": 0})


@pytest.mark.parametrize(
    ("size", "current", "waiting", "rounded"),
    [
        (7, 7, 0, 7),
        (8, 7, 0, 8),  # fits on what is there
        (9, 7, 0, 12),  # needs a new node, which holds four
        (12, 7, 0, 12),
        (13, 7, 0, 16),
        (7, 7, 1, 7),  # the one that waits has a place
        (8, 7, 1, 11),  # which it takes
        (7, 7, 2, 10),  # a node has too little room for the size that was asked for before it was known
        (40, 7, 0, 40),  # not beyond the largest size...
        (18, 7, 0, 20),
        (19, 17, 0, 20),  # ...that cuts the last node
        (5, 8, 0, 8),
        (4, 8, 0, 4),
        (3, 8, 0, 4),
        (1, 3, 0, 3),  # never a growth
        (0, 8, 0, 0),
    ],
)
def test_what_needs_a_new_node_fills_it(size: int, current: int, waiting: int, rounded: int) -> None:
    assert whole_nodes(size, current, waiting, ROOM, maximum=20) == rounded


@pytest.mark.parametrize("per_node", [0, 1])
def test_nodes_of_one_replica_round_nothing(per_node: int) -> None:
    assert whole_nodes(9, 7, 0, replace(ROOM, per_node=per_node), maximum=20) == 9


def by_nodes(**fields: object) -> Scaling:
    return scaling(1, 20, QUICK, granularity=Granularity.NODE, **fields)


def decided(pool: PoolSnapshot, rules: Scaling) -> PoolDecision:
    return decide(pool, rules, PoolState(), at(0))[0]


def test_a_pool_of_whole_nodes_grows_by_nodes_and_says_so() -> None:
    pool = replace(snapshot(3, fresh_load(in_flight=30)), room=ROOM)
    decision = decided(pool, by_nodes())
    assert (decision.replicas, decision.reason, decision.limited) == (8, Reason.WHOLE_NODES, None)
    assert "rounded up to whole nodes" in decision.message
    assert "node group a100: 1 of 8 GPUs free on 2 nodes" in decision.message


@pytest.mark.parametrize(
    ("rules", "room"), [(scaling(1, 20, QUICK), ROOM), (by_nodes(), None)], ids=["by replicas", "nodes unknown"]
)
def test_elsewhere_the_size_is_what_the_signals_ask_for(rules: Scaling, room: Room | None) -> None:
    decision = decided(replace(snapshot(3, fresh_load(in_flight=30)), room=room), rules)
    assert (decision.replicas, decision.reason) == (5, Reason.DESIRED_WITHIN_RANGE)
    assert "node group" not in decision.message


@pytest.mark.parametrize(
    ("no_room", "seconds", "reason"),
    [(Reason.INSUFFICIENT_GPU, 60.0, Reason.INSUFFICIENT_GPU), (Reason.QUOTA, 0.0, Reason.DESIRED_WITHIN_RANGE)],
    ids=["no node comes", "a quota refuses"],
)
def test_where_more_replicas_get_no_place_none_are_added(no_room: Reason, seconds: float, reason: Reason) -> None:
    full = replace(ROOM, fits=0, free_gpus=0)
    waits = replace(snapshot(5, fresh_load(in_flight=36), ready=3), room=full, no_room=no_room)
    decision = decided(replace(waits, unschedulable=2, unschedulable_seconds=seconds), by_nodes())
    assert decision.replicas == (5 if seconds else 6)
    assert decision.reason is reason


def test_a_pool_of_whole_nodes_keeps_a_node_that_it_half_needs() -> None:
    rules, state, sizes = by_nodes(), PoolState(), []
    for second in range(0, 400, 5):
        pool = replace(snapshot(8, fresh_load(in_flight=30)), room=ROOM)
        decision, state = decide(pool, rules, state, at(second))
        sizes.append(decision.replicas)
    assert set(sizes) == {8}
    assert decision.reason is Reason.WHOLE_NODES


def test_replicas_without_a_place_tell_what_the_nodes_have() -> None:
    full = replace(ROOM, fits=0, free_gpus=0)
    waits = replace(snapshot(5, fresh_load(in_flight=60), ready=3), room=full)
    waits = replace(waits, unschedulable=2, unschedulable_seconds=60.0)
    decision = decided(waits, scaling(1, 20, QUICK))
    assert (decision.replicas, decision.limited) == (5, Reason.INSUFFICIENT_GPU)
    assert decision.message.endswith("node group a100: 0 of 8 GPUs free on 2 nodes")


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (replace(ROOM, group=""), "nodes for the pool: 1 of 8"),
        (replace(ROOM, per_node=0), "none of which holds a replica even when empty"),
        (replace(ROOM, nodes=0), "no node that is there has the labels"),
    ],
)
def test_a_room_says_what_is_wrong_with_it(room: Room, words: str) -> None:
    assert words in room.words
