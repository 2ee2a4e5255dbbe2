"""What the answer cache promises whatever comes: nobody else's answer, nothing broken, bounded, no one lost."""

import asyncio
import json
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from autoglm_gateway.cache.breaker import Breaker
from autoglm_gateway.cache.entry import Entry, read, written
from autoglm_gateway.cache.key import answer_key
from autoglm_gateway.cache.memory import Memory, Sightings
from autoglm_gateway.cache.policy import Ask, Bypass, answer_tokens, ask_of
from autoglm_gateway.cache.single_flight import SingleFlight, Turn

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
FIELDS = st.sampled_from(
    ["model", "messages", "temperature", "stream", "n", "tools", "user", "metadata", "max_tokens", "x"]
)
BODIES = st.dictionaries(FIELDS, JSON, max_size=6)
WHERE = st.fixed_dictionaries(
    {
        "secret": st.sampled_from([b"s" * 32, b"t" * 32]),
        "tenant": st.sampled_from(["", "a", "b"]),
        "pool": st.sampled_from(["light", "large"]),
        "model": st.sampled_from(["glm", "glm2"]),
        "revision": st.sampled_from(["r1", "r2"]),
        "target": st.sampled_from(["/v1", "/v1?x"]),
        "stream": st.booleans(),
    }
)
NO_MATTER = {"metadata", "prompt_cache_key", "safety_identifier", "service_tier", "store", "stream", "user"}
ENTRIES = st.builds(
    Entry,
    st.binary(max_size=60),
    st.lists(st.tuples(st.sampled_from(["content-type", "x-autoglm-revision"]), st.text(max_size=8)), max_size=3).map(
        tuple
    ),
    st.booleans(),
    st.integers(0, 10_000),
    st.floats(0, 2e9, allow_nan=False),
)
STEPS = ["join", "join", "join", "land", "land nothing", "fail", "fail, and the next one leaves", "leave"]
KEYS = st.binary(min_size=32, max_size=32)


def asked(body: dict[str, Any]) -> str:
    """What of a body may change its answer; 1 and 1.0 are written differently, so they may have two keys."""
    return json.dumps({name: value for name, value in body.items() if name not in NO_MATTER}, sort_keys=True)


@given(BODIES, BODIES, WHERE, WHERE)
def test_two_queries_have_one_key_only_if_they_are_the_same_query_of_the_same_tenant(
    body: dict[str, Any], other: dict[str, Any], where: dict[str, Any], elsewhere: dict[str, Any]
) -> None:
    same = asked(body) == asked(other) and where == elsewhere
    assert (answer_key(body, **where) == answer_key(other, **elsewhere)) is same


@given(BODIES, WHERE, st.randoms(use_true_random=False))
def test_the_order_of_fields_does_not_matter_at_any_depth(
    body: dict[str, Any], where: dict[str, Any], chance: Any
) -> None:
    def shuffled(value: Any) -> Any:
        if isinstance(value, list):
            return [shuffled(one) for one in value]
        if isinstance(value, dict):
            names = list(value)
            chance.shuffle(names)
            return {name: shuffled(value[name]) for name in names}
        return value

    assert answer_key(shuffled(body), **where) == answer_key(body, **where)


@given(ENTRIES, KEYS)
def test_what_was_written_is_read_again(entry: Entry, key: bytes) -> None:
    assert read(written(entry, key, b"s" * 32), key, b"s" * 32) == entry


@given(ENTRIES, KEYS, st.integers(0, 10_000), st.integers(1, 255))
def test_what_was_changed_by_a_byte_or_moved_to_another_key_is_not_read(
    entry: Entry, key: bytes, place: int, change: int
) -> None:
    raw = bytearray(written(entry, key, b"s" * 32))
    assert read(bytes(raw), key[:-1] + bytes([key[-1] ^ change]), b"s" * 32) is None
    assert read(bytes(raw), key, b"t" * 32) is None
    raw[place % len(raw)] ^= change
    assert read(bytes(raw), key, b"s" * 32) is None


@given(body=BODIES | JSON, control=st.lists(st.text(max_size=20), max_size=2), opt_in=st.booleans())
def test_of_any_json_it_is_told_whether_it_may_be_answered(body: Any, control: list[str], *, opt_in: bool) -> None:
    found = ask_of(json.dumps(body).encode(), control, opt_in=opt_in)
    if isinstance(found, Ask):
        assert opt_in or body["temperature"] == 0
        assert not body.get("tools")
        assert body.get("n", 1) in (1, None)
    else:
        assert found in set(Bypass)


@given(body=st.binary(max_size=200), status=st.sampled_from([200, 404]), stream=st.booleans())
def test_of_bytes_that_are_no_answer_none_is_kept(body: bytes, status: int, *, stream: bool) -> None:
    kind = "text/event-stream" if stream else "application/json"
    assert answer_tokens(status, kind, body, stream=stream) is None


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 400), st.booleans()), min_size=10, max_size=60),
    st.sampled_from([0, 600, 1500, 3000]),
)
def test_memory_never_holds_more_bytes_than_it_may_and_only_what_was_put(
    steps: list[tuple[int, int, bool]], most: int
) -> None:
    memory, put = Memory(most, 100.0), dict[bytes, Entry]()
    for now, (number, size, is_put) in enumerate(steps):
        key = b"%d" % number
        if is_put:
            put[key] = Entry(b"x" * size, (), stream=False, tokens=0, stored_at=float(now))
            memory.put(key, put[key])
        else:
            assert memory.get(key, float(now)) in (None, put.get(key))
        assert memory.bytes == sum(one.size for one in memory._entries.values()) <= most


@given(st.lists(st.integers(0, 20), max_size=80), st.integers(1, 8))
def test_a_sighting_is_remembered_while_fewer_others_than_there_is_room_for_came(queries: list[int], room: int) -> None:
    sightings = Sightings(room)
    for place, query in enumerate(queries):
        before = queries[:place]
        last = max((at for at, one in enumerate(before) if one == query), default=None)
        others = set(before[last + 1 :]) if last is not None else set()
        assert sightings.again(b"%d" % query) is (last is not None and len(others) < room)
        assert len(sightings) <= room


@given(
    st.lists(
        st.tuples(st.sampled_from([0.2, 0.9, 1.1, 5.0, 29.0]), st.sampled_from(["fail"] * 9 + ["ok", "silent"])),
        min_size=20,
        max_size=80,
    )
)
def test_while_the_breaker_is_open_one_call_at_most_goes_in_each_pause(steps: list[tuple[float, str]]) -> None:
    breaker, now, last = Breaker(), 0.0, float("-inf")
    for passed, ends in steps:
        now += passed
        was_closed = breaker.closed
        if not breaker.lets(now):
            assert not was_closed
            assert now - last < 31, "it is tried again after half a minute at the latest"
            continue
        assert was_closed or now - last >= 1, "a pause is a second at least"
        last = now
        if ends == "ok":
            breaker.succeeded()
            assert breaker.closed
        elif ends == "fail":
            breaker.failed(now)


@given(
    st.lists(st.sampled_from(STEPS), min_size=5, max_size=40),
    st.integers(0, 99),
)
def test_of_many_who_ask_the_same_one_leads_at_a_time_and_everybody_is_told(steps: list[str], seed: int) -> None:
    asyncio.run(_flight(steps, seed))


async def _flight(steps: list[str], seed: int) -> None:
    flight, entry = SingleFlight(), Entry(b"a", (), stream=False, tokens=0, stored_at=0.0)
    tasks: list[asyncio.Task[Entry | Turn]] = []
    led = 0

    def leaders() -> int:
        return sum(task.done() and not task.cancelled() and task.result() is Turn.LEAD for task in tasks) - led

    for number, step in enumerate([*steps, "land", "land"]):
        if step == "join":
            tasks.append(asyncio.ensure_future(flight.join(b"k", 100.0)))
        elif step == "leave" and (waiting := [task for task in tasks if not task.done()]):
            waiting[(seed + number) % len(waiting)].cancel()
        elif step not in {"join", "leave"} and leaders():
            led += 1
            if step.startswith("fail"):
                flight.fail(b"k")
                heir = next((task for task in tasks if not task.done()), None)
                if heir is not None and step == "fail, and the next one leaves":
                    heir.cancel()
            else:
                flight.land(b"k", entry if step == "land" else None)
        for _ in range(3):
            await asyncio.sleep(0)
        assert leaders() <= 1
        assert leaders() == len(flight), "who waits has a leader"
    assert all(task.done() for task in tasks)
    assert len(flight) == 0


def test_an_entry_s_age_is_never_negative_though_clocks_differ() -> None:
    entry = Entry(b"", (), stream=False, tokens=0, stored_at=100.0)
    assert [entry.age(now) for now in (90.0, 100.0, 130.0)] == [0.0, 0.0, 30.0]
    assert replace(entry, body=b"x" * 10).size == entry.size + 10
