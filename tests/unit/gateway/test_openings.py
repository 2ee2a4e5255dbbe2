"""A choice among many replicas: who has a slot free, and who is compared."""

import pytest

from autoglm_gateway.balance import Address, Replica
from autoglm_gateway.openings import LOOKED_AT, Openings

CAP = 4


def replicas(count: int, in_flight: int = 0) -> list[Replica]:
    return [Replica(Address("10.0.0.1", port), in_flight=in_flight) for port in range(count)]


def openings(found: list[Replica]) -> Openings:
    made = Openings()
    made.reset(found, CAP)
    return made


def take(made: Openings, count: int) -> list[Replica]:
    taken = []
    for _ in range(count):
        replica = made.best(now=0)
        assert replica is not None
        replica.taken()
        made.changed(replica)
        taken.append(replica)
    return taken


@pytest.mark.parametrize("count", [1, LOOKED_AT, LOOKED_AT + 1, 500])
def test_every_slot_is_used_once_and_no_more(count: int) -> None:
    found = replicas(count)
    made = openings(found)
    take(made, count * CAP)
    assert {replica.in_flight for replica in found} == {CAP}
    assert not made.any(0)
    assert made.best(0) is None
    assert len(made) == 0


@pytest.mark.parametrize("count", [LOOKED_AT, 500])
def test_queries_spread_evenly_among_idle_replicas(count: int) -> None:
    found = replicas(count)
    take(openings(found), count)
    assert {replica.in_flight for replica in found} == {1}


def test_a_slot_that_is_given_back_is_the_next_one() -> None:
    found = replicas(300, in_flight=CAP)
    made = openings(found)
    assert not made.any(0)
    found[250].given_back()
    made.changed(found[250])
    assert made.any(0)
    assert made.best(0) is found[250]


def test_among_many_the_least_work_wins_before_all_have_been_asked_twice() -> None:
    found = replicas(500)
    for replica in found:
        replica.work = 1000
    found[400].work = 1
    made = openings(found)
    rounds = -(-500 // LOOKED_AT)
    assert found[400] in [made.best(0) for _ in range(rounds)]


def test_shunned_replicas_do_not_hide_the_others() -> None:
    found = replicas(200)
    for replica in found[:-1]:
        replica.shun(10.0)
    made = openings(found)
    assert made.best(now=0) is found[-1]
    found[-1].shun(10.0)
    assert not made.any(0)
    assert made.best(now=0) is None
    assert made.any(10.0)


def test_a_smaller_cap_closes_and_a_larger_one_opens() -> None:
    found = replicas(3, in_flight=2)
    made = openings(found)
    made.reset(found, 2)
    assert len(made) == 0
    made.reset(found, 3)
    assert len(made) == 3


def test_replicas_that_left_are_never_chosen() -> None:
    found = replicas(100)
    made = openings(found)
    made.reset(found[:1], CAP)
    assert take(made, CAP) == [found[0]] * CAP
    assert made.best(0) is None


def test_the_same_length_comes_first_among_many() -> None:
    found = replicas(LOOKED_AT + 1, in_flight=1)
    for replica in found[:-1]:
        replica.lengths[2] = 1
    found[-1].lengths[0] = 1
    made = openings(found)
    assert found[-1] in [made.best(0, length=0), made.best(0, length=0)]
