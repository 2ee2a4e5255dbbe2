from autoglm_operator.simulate.fleet import Fleet


def fleet(ready: int = 4, quota: int | None = None) -> Fleet:
    return Fleet(startup_seconds=120, drain_seconds=10, ready=ready, quota=quota)


def counts(pool: Fleet) -> tuple[int, int, int, int]:
    return pool.pending, pool.starting, pool.ready, pool.held


def test_a_new_replica_holds_a_gpu_at_once_and_answers_after_its_start() -> None:
    pool = fleet(4)
    pool.resize(6, now=0)
    assert counts(pool) == (0, 2, 4, 6)
    pool.advance(119)
    assert counts(pool) == (0, 2, 4, 6)
    pool.advance(120)
    assert counts(pool) == (0, 0, 6, 6)
    assert (pool.seen(), pool.seen()) == (2, 0)


def test_a_replica_that_goes_drains_first() -> None:
    pool = fleet(4)
    pool.resize(1, now=0)
    assert counts(pool) == (0, 0, 1, 4)
    pool.advance(10)
    assert counts(pool) == (0, 0, 1, 1)


def test_starting_replicas_go_before_ready_ones_and_the_newest_first() -> None:
    pool = fleet(2)
    pool.resize(4, now=0)
    pool.resize(6, now=60)
    pool.resize(3, now=70)
    assert counts(pool) == (0, 1, 2, 3)
    pool.advance(120)
    assert pool.ready == 3


def test_a_quota_makes_replicas_wait_until_there_is_room() -> None:
    pool = fleet(4, quota=5)
    pool.resize(8, now=30)
    assert (counts(pool), pool.pending_since) == ((3, 1, 4, 5), 30)
    pool.limit(None, now=50)
    assert (counts(pool), pool.pending_since) == ((0, 4, 4, 8), None)


def test_what_waits_is_given_up_first() -> None:
    pool = fleet(4, quota=4)
    pool.resize(8, now=0)
    pool.resize(5, now=5)
    assert (pool.pending, pool.ready, pool.pending_since) == (1, 4, 0)
    pool.resize(4, now=6)
    assert (pool.pending, pool.ready, pool.pending_since) == (0, 4, None)


def test_lost_replicas_start_anew() -> None:
    pool = fleet(10)
    pool.lose(2, now=100)
    assert counts(pool) == (0, 2, 8, 10)
    pool.advance(220)
    assert pool.ready == 10
