"""Consistent hashing with bounded loads, and the choice by the least work."""

from autoglm_gateway.affinity import Ring, prefix_of
from autoglm_gateway.balance import Address, Replica, least_work, length_of


def replicas(count: int) -> dict[Address, Replica]:
    addresses = [Address("10.0.0.1", port) for port in range(count)]
    return {address: Replica(address) for address in addresses}


def owner(ring: Ring, prefix: int, cap: int = 1000) -> Replica:
    found = ring.owner(prefix, cap, now=0)
    assert found is not None
    return found


def test_a_prefix_keeps_its_replica_when_another_one_leaves() -> None:
    four = replicas(4)
    prefixes = [prefix_of("t", str(number)) for number in range(400)]
    before = [owner(Ring(four), prefix).address for prefix in prefixes]
    gone = Address("10.0.0.1", 3)
    three = {address: replica for address, replica in four.items() if address != gone}
    after = [owner(Ring(three), prefix).address for prefix in prefixes]
    moved = [old for old, new in zip(before, after, strict=True) if old != new]
    assert set(moved) == {gone}
    assert all(40 <= before.count(address) <= 200 for address in four)


def test_no_replica_gets_more_than_a_quarter_above_the_mean() -> None:
    four = replicas(4)
    ring = Ring(four)
    prefix = prefix_of("t", "the same for all")
    for number in range(1, 201):
        owner(ring, prefix).taken()
        assert max(replica.in_flight for replica in four.values()) <= -(-number * 125 // 400)
    assert owner(ring, prefix, cap=1000) is not None
    assert ring.owner(prefix, cap=1, now=0) is None


def test_tenants_do_not_share_a_place_and_no_prompt_has_none() -> None:
    assert prefix_of("a", "x") != prefix_of("b", "x")
    assert prefix_of("a", "") == 0


def test_the_least_predicted_work_counts_before_the_number_of_queries() -> None:
    one, other = replicas(2).values()
    one.in_flight, one.work = 1, 900
    other.in_flight, other.work = 3, 40
    assert least_work([one, other], 8, now=0) is other
    assert least_work([one, other], 3, now=0) is one, "the other one is full"


def test_while_queries_wait_the_same_length_comes_first() -> None:
    one, other = replicas(2).values()
    one.in_flight, one.work, one.lengths[2] = 2, 10, 2
    other.in_flight, other.work, other.lengths[0] = 2, 500, 2
    assert least_work([one, other], 8, now=0, length=length_of(100)) is other
    assert least_work([one, other], 8, now=0) is one


def test_a_ring_that_follows_is_the_ring_made_anew() -> None:
    ring = Ring(replicas(5))
    later = {address: replica for address, replica in replicas(8).items() if address.port not in (1, 3)}
    ring.follow(later)
    prefixes = [prefix_of("t", str(number)) for number in range(100)]
    assert [owner(ring, prefix) for prefix in prefixes] == [owner(Ring(later), prefix) for prefix in prefixes]


def test_an_empty_ring_has_no_owner() -> None:
    assert Ring().owner(7, 8, now=0) is None


def test_a_known_load_is_taken_as_it_is() -> None:
    two = replicas(2)
    for replica in two.values():
        replica.in_flight = 3
    assert Ring(two).owner(7, 100, now=0, in_flight=0) is None, "nobody may have more than one of one"
    assert Ring(two).owner(7, 100, now=0) is not None
