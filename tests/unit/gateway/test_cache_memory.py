import pytest

from autoglm_gateway.cache.breaker import Breaker
from autoglm_gateway.cache.entry import Entry
from autoglm_gateway.cache.memory import Memory, Sightings
from autoglm_gateway.cache.redis_store import Target, target_of


def entry(size: int = 400, at: float = 0.0) -> Entry:
    return Entry(b"x" * size, (), stream=False, tokens=1, stored_at=at)


def test_memory_keeps_what_was_used_last_within_its_bytes() -> None:
    memory = Memory(3000, 60)
    for name in (b"a", b"b", b"c"):
        memory.put(name, entry())
    assert memory.get(b"a", 1) is not None
    memory.put(b"d", entry())
    assert [memory.get(name, 1) is not None for name in (b"a", b"b", b"c", b"d")] == [True, False, True, True]
    assert memory.bytes == 3 * entry().size <= 3000


def test_memory_forgets_the_old_the_oversized_and_the_replaced() -> None:
    memory = Memory(3000, 60)
    memory.put(b"a", entry(at=0))
    assert memory.get(b"a", 59.9) is not None
    assert memory.get(b"a", 60) is None
    memory.put(b"b", entry(5000))
    memory.put(b"c", entry(100))
    memory.put(b"c", entry(200))
    assert (len(memory), memory.bytes) == (1, entry(200).size)
    memory.limit(0, 0)
    assert (len(memory), memory.bytes) == (0, 0)


def test_sightings_remember_a_bounded_number() -> None:
    seen = Sightings(2)
    assert [seen.again(name) for name in (b"a", b"b", b"a", b"c", b"b", b"c")] == [
        False,
        False,
        True,
        False,
        False,
        True,
    ]
    assert len(seen) == 2


def test_the_breaker_opens_probes_and_closes() -> None:
    breaker = Breaker()
    for now in (-0.8, -0.6, -0.4, -0.2):
        breaker.failed(now)
    breaker.failed(-0.15)  # together with the fourth
    assert breaker.lets(0.0)
    breaker.failed(0.0)
    breaker.failed(0.0)  # one that was sent before it opened
    assert [breaker.lets(now) for now in (0.0, 0.9, 1.0, 1.1)] == [False, False, True, False]
    breaker.failed(1.2)  # the probe; now two seconds
    assert [breaker.lets(now) for now in (3.1, 3.2)] == [False, True]
    breaker.succeeded()
    assert breaker.closed
    assert breaker.lets(3.3)


def test_the_breaker_counts_failures_in_a_row_and_its_pause_is_bounded() -> None:
    breaker = Breaker()
    for number in range(8):
        breaker.failed(float(number))
        breaker.succeeded()
    assert breaker.closed
    now = 0.0
    for _ in range(20):
        breaker.failed(now)
        now += 31
        breaker.lets(now)
    assert breaker.lets(now + 30)


def test_a_redis_url_is_taken_apart() -> None:
    found = target_of("rediss://me:p%40ss@cache.shop:7000/2\n")
    assert (found.host, found.port, found.tls) == ("cache.shop", 7000, True)
    assert (found.user, found.password, found.database) == ("me", "p@ss", 2)
    assert target_of("redis://:pw@h") == Target("h", 6379, tls=False, password="pw")
    assert target_of("redis://me@h") == Target("h", 6379, tls=False), "a user without a password is nobody"


@pytest.mark.parametrize(
    "url", ["", "http://secret@h", "redis://", "redis://h:99999999", "redis://h/secret", "redis://[x"]
)
def test_a_broken_url_is_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ValueError, match="Redis URL") as refused:
        target_of(url)
    assert "secret" not in str(refused.value)
