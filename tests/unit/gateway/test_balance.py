import pytest

from autoglm_gateway.balance import Address, Replica, SmoothWeighted, least_work, share


def replicas(*in_flight: int) -> list[Replica]:
    return [Replica(Address("10.0.0.1", port), in_flight=count) for port, count in enumerate(in_flight)]


@pytest.mark.parametrize(
    ("in_flight", "cap", "port"), [((2, 1, 3), 4, 1), ((0, 0), 1, 0), ((2, 2), 2, None), ((), 2, None), ((3, 2), 3, 1)]
)
def test_the_least_work_with_room(in_flight: tuple[int, ...], cap: int, port: int | None) -> None:
    chosen = least_work(replicas(*in_flight), cap, now=0)
    assert (chosen and chosen.address.port) == port


def test_of_equals_the_longest_unused() -> None:
    one, other = replicas(0, 0)
    one.last_used = 2
    other.last_used = 1
    assert least_work([one, other], 1, now=0) is other


def test_a_failing_replica_backs_off_twice_as_long_each_time_and_returns_one_by_one() -> None:
    replica = replicas(0)[0]
    waits = []
    now = 100.0
    for _ in range(7):
        replica.failed(now)
        waits.append(replica.shunned_until - now)
        now = replica.shunned_until
    assert waits == [0.5, 1, 2, 4, 8, 10, 10]
    assert replica.has_room(8, now)
    replica.taken()
    assert not replica.has_room(8, now)
    replica.answered()
    assert replica.has_room(8, now)


@pytest.mark.parametrize(
    ("weights", "turns"),
    [
        ({"a": 1}, "aaaa"),
        ({"a": 1, "b": 1}, "abab"),
        ({"a": 5, "b": 1, "c": 1}, "aabacaa"),  # nginx's own example
    ],
)
def test_smooth_weighted_round_robin(weights: dict[str, int], turns: str) -> None:
    balance = SmoothWeighted()
    assert "".join(balance.pick(weights) for _ in turns) == turns


def test_a_pool_that_joins_later_gets_its_share() -> None:
    balance = SmoothWeighted()
    for _ in range(10):
        balance.pick({"a": 1})
    assert sorted(balance.pick({"a": 1, "b": 1}) for _ in range(10)) == ["a"] * 5 + ["b"] * 5


@pytest.mark.parametrize(("cap", "gateways", "mine"), [(8, 1, 8), (8, 2, 4), (8, 3, 3), (1, 4, 1), (8, 0, 8)])
def test_shares(cap: int, gateways: int, mine: int) -> None:
    assert share(cap, gateways) == mine


def test_queries_lost_together_are_one_failure() -> None:
    replica = replicas(8)[0]
    for _ in range(8):
        replica.failed(100.0)
    assert replica.shunned_until == 100.5


def test_streams_from_before_a_failure_do_not_keep_the_probe_away() -> None:
    replica = replicas(5)[0]
    replica.failed(0.0)
    assert replica.has_room(8, 0.5)
    replica.taken()
    assert not replica.has_room(8, 0.5)
    replica.given_back()  # the probe's client left: another one may try
    assert replica.has_room(8, 0.5)
