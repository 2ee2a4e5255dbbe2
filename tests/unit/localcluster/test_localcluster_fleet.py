import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from autoglm_api import names
from autoglm_localcluster.fleet import reply
from autoglm_localcluster.fleet.profile import Profile, pieces, profile_of, profiles_from
from autoglm_localcluster.fleet.replica import FullError, Replica
from autoglm_localcluster.fleet.reply import ChatQuery

TINY = Profile(slots=1, queued=1)


@settings(deadline=None)  # this machine may be busy
@given(
    token_milliseconds=st.floats(0, 200, allow_nan=False),
    tokens=st.integers(1, 500),
)
def test_pieces_add_up_to_all_tokens_and_the_engines_time(token_milliseconds: float, tokens: int) -> None:
    cut = list(pieces(Profile(token_milliseconds=token_milliseconds), tokens))
    assert sum(piece.tokens for piece in cut) == tokens
    assert sum(piece.wait_seconds for piece in cut) == pytest.approx(tokens * token_milliseconds / 1000)


def test_slow_engines_send_every_token_alone() -> None:
    assert [piece.tokens for piece in pieces(Profile(token_milliseconds=50), 3)] == [1, 1, 1]


def test_profiles_by_class_with_a_default() -> None:
    profiles = profiles_from('{"Complex": {"token_milliseconds": 30}}')
    assert profile_of(profiles, "Complex").token_milliseconds == 30
    assert profile_of(profiles, "Simple") == profile_of(profiles, None) == Profile()


def test_complex_queries_take_longer_unless_told_otherwise() -> None:
    built_in = profiles_from("{}")
    assert profile_of(built_in, "Complex").token_milliseconds > profile_of(built_in, "Simple").token_milliseconds


@pytest.mark.parametrize("text", ['{"Complex": {"speed": 1}}', '{"Complex": {"slots": 0}}', "[]"])
def test_bad_profiles_are_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        profiles_from(text)


def in_flight(replica: Replica) -> float | None:
    return replica.registry.get_sample_value(names.METRIC_NODE_IN_FLIGHT)


async def test_full_replica_refuses_and_counts() -> None:
    replica = Replica()
    await replica.enter(TINY)
    waiting = asyncio.create_task(replica.enter(TINY))
    await asyncio.sleep(0)
    with pytest.raises(FullError):
        await replica.enter(TINY)
    assert replica.registry.get_sample_value(names.METRIC_NODE_REJECTED, {"reason": "full"}) == 1
    assert in_flight(replica) == 2
    replica.leave()
    await waiting
    replica.leave()
    assert in_flight(replica) == 0


async def test_slots_are_given_in_order_of_arrival() -> None:
    replica, profile, order = Replica(), Profile(slots=1, queued=5), list[int]()

    async def query(number: int) -> None:
        await replica.enter(profile)
        order.append(number)
        replica.leave()

    await replica.enter(profile)
    tasks = [asyncio.create_task(query(number)) for number in range(4)]
    await asyncio.sleep(0)
    replica.leave()
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]


@pytest.mark.parametrize("freed_first", [False, True])
async def test_a_client_that_leaves_the_queue_takes_no_slot_with_it(*, freed_first: bool) -> None:
    replica = Replica()
    await replica.enter(TINY)
    waiting = asyncio.create_task(replica.enter(TINY))
    await asyncio.sleep(0)
    if freed_first:
        replica.leave()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    if not freed_first:
        replica.leave()
    assert in_flight(replica) == 0
    await asyncio.wait_for(replica.enter(TINY), 1)


def test_streamed_words_join_to_the_whole_answer() -> None:
    assert reply.text(0, 3) + reply.text(3, 20) == reply.text(0, 23)


@pytest.mark.parametrize(
    ("fields", "tokens"), [({}, 7), ({"max_tokens": 3}, 3), ({"max_tokens": 3, "max_completion_tokens": 2}, 2)]
)
def test_length_of_the_reply(fields: dict[str, int], tokens: int) -> None:
    query = ChatQuery.model_validate({"messages": [{"role": "user", "content": "hi"}], **fields})
    assert query.output_tokens(7) == tokens
