"""The scheduler alone, over a model whose answers are plain arithmetic."""

import pytest

from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import Batching
from autoglm_node.engine.sequence import FinishReason, Sequence, TokenEvent, TooLongError
from autoglm_node.sampling import Sampling
from support.slot_models import HistoryModel, history_next

ROOM = 32


def loop_of(slots: int, budget: int = 512) -> DecodeLoop:
    return DecodeLoop(HistoryModel(slots), slots, ROOM, Batching(token_budget=budget))


def drained(loop: DecodeLoop) -> dict[int, list[TokenEvent]]:
    events: dict[int, list[TokenEvent]] = {}
    while not loop.idle:
        for event in loop.step():
            events.setdefault(event.id, []).append(event)
    return events


def expected(prompt: list[int], n: int) -> list[int]:
    history = list(prompt)
    for _ in range(n):
        history.append(history_next(history))
    return history[len(prompt) :]


@pytest.mark.parametrize("slots", [1, 2, 3, 8])
def test_every_number_of_slots_gives_the_same_replies(slots: int) -> None:
    loop = loop_of(slots)
    prompts = {number: [number, 2 * number, 5][: 1 + number % 3] for number in range(10)}
    for number, prompt in prompts.items():
        loop.submit(Sequence(number, prompt, max_tokens=1 + 3 * number % 11))
    replies = {number: [event.token_id for event in events] for number, events in drained(loop).items()}
    assert replies == {n: expected(prompt, 1 + 3 * n % 11) for n, prompt in prompts.items()}


def test_a_newcomer_joins_while_others_run() -> None:
    loop = loop_of(2)
    loop.submit(Sequence(1, [1], max_tokens=9))
    loop.step()
    loop.submit(Sequence(2, [2], max_tokens=9))
    assert [event.id for event in loop.step()] == [1, 2]


def test_a_slot_is_filled_again_in_the_step_in_which_it_falls_free() -> None:
    loop = loop_of(1)
    loop.submit(Sequence(1, [1], max_tokens=2))
    loop.submit(Sequence(2, [2], max_tokens=2))
    assert [[event.id for event in loop.step()] for _ in range(3)] == [[1], [1, 2], [2]]
    assert loop.idle


def test_sequences_that_end_with_their_first_token_leave_their_slots_in_the_same_step() -> None:
    loop = loop_of(2)
    for number in range(3):
        loop.submit(Sequence(number, [number], max_tokens=1))
    assert [(event.id, event.finish_reason) for event in loop.step()] == [(n, FinishReason.LENGTH) for n in range(2)]
    assert (loop.running, loop.waiting) == (0, 1)


def test_the_prefill_budget_spreads_newcomers_over_steps() -> None:
    loop = loop_of(8, budget=10)
    for number in range(4):
        loop.submit(Sequence(number, [1] * 6, max_tokens=9))
    assert [loop.step() and loop.running for _ in range(4)] == [1, 2, 3, 4]


def test_a_prompt_above_the_budget_is_read_in_chunks() -> None:
    loop = loop_of(2, budget=3)
    loop.submit(Sequence(1, [1, 2, 3, 4, 5, 6, 7], max_tokens=2))
    assert [[event.token_id for event in loop.step()] for _ in range(4)] == [
        [],
        [],
        *[[token] for token in expected([1, 2, 3, 4, 5, 6, 7], 2)],
    ]


def test_running_replies_and_short_prompts_go_on_beside_chunks() -> None:
    loop = loop_of(4, budget=4)
    loop.submit(Sequence(1, [1], max_tokens=20))
    loop.step()
    loop.submit(Sequence(2, list(range(13)), max_tokens=2))
    loop.step()
    loop.submit(Sequence(3, [3], max_tokens=20))
    assert [sorted(event.id for event in loop.step()) for _ in range(5)] == [
        [1, 3],
        [1, 3],
        [1, 2, 3],
        [1, 2, 3],
        [1, 3],
    ]


def test_a_prompt_in_chunks_can_be_cancelled() -> None:
    loop = loop_of(2, budget=3)
    loop.submit(Sequence(1, [1] * 7, max_tokens=2))
    loop.step()
    assert (loop.running, loop.cached_tokens) == (1, 3)
    assert loop.cancel(1)
    assert loop.idle


def test_newcomers_wait_for_company_only_as_long_as_allowed() -> None:
    loop = DecodeLoop(HistoryModel(4), 4, ROOM, Batching(queue_delay_seconds=0.002))
    loop.submit(Sequence(1, [1], max_tokens=9), now=1.0)
    assert loop.held_seconds(1.0005) == pytest.approx(0.0015)
    assert loop.step(1.0005) == []
    loop.submit(Sequence(2, [2], max_tokens=9), now=1.001)
    assert [event.id for event in loop.step(1.0021)] == [1, 2]


def test_newcomers_that_fill_the_slots_do_not_wait() -> None:
    loop = DecodeLoop(HistoryModel(2), 2, ROOM, Batching(queue_delay_seconds=9))
    for number in (1, 2):
        loop.submit(Sequence(number, [number], max_tokens=9), now=1.0)
    assert len(loop.step(1.0)) == 2
    assert loop.held_seconds(1.0) == 0


def test_a_stop_token_ends_a_reply() -> None:
    stop = expected([4, 2], 3)[-1]
    loop = loop_of(1)
    loop.submit(Sequence(1, [4, 2], max_tokens=9, stop_ids=frozenset({stop})))
    events = drained(loop)[1]
    assert events[-1].token_id == stop
    assert [event.finish_reason for event in events][-1] is FinishReason.STOP
    assert stop not in [event.token_id for event in events[:-1]]


def test_the_room_of_a_slot_ends_a_reply() -> None:
    loop = loop_of(1)
    loop.submit(Sequence(1, [1] * 30, max_tokens=9))
    events = drained(loop)[1]
    assert [event.finish_reason for event in events] == [FinishReason.NONE, FinishReason.LENGTH]


@pytest.mark.parametrize("length", [0, ROOM, ROOM + 1])
def test_a_prompt_without_room_for_a_reply_is_refused(length: int) -> None:
    with pytest.raises(TooLongError, match="between 1 and 31 fit"):
        loop_of(1).submit(Sequence(1, [1] * length, max_tokens=1))


def test_cancelling_a_running_sequence_frees_its_slot_and_spares_the_others() -> None:
    loop = loop_of(3)
    for number in range(4):
        loop.submit(Sequence(number, [number, 7], max_tokens=6))
    got = loop.step()
    assert loop.cancel(0)
    assert (loop.running, loop.waiting) == (2, 1)
    replies = {event.id: [event.token_id] for event in got}
    for number, events in drained(loop).items():
        replies.setdefault(number, []).extend(event.token_id for event in events)
    assert {n: replies[n] for n in (1, 2, 3)} == {n: expected([n, 7], 6) for n in (1, 2, 3)}
    assert len(replies[0]) == 1


def test_cancelling_a_waiting_sequence_drops_it() -> None:
    loop = loop_of(1)
    loop.submit(Sequence(1, [1], max_tokens=3))
    loop.submit(Sequence(2, [2], max_tokens=3))
    assert loop.cancel(2)
    assert set(drained(loop)) == {1}


def test_an_unknown_sequence_cannot_be_cancelled() -> None:
    assert not loop_of(1).cancel(5)


def test_counts_of_an_occupied_loop() -> None:
    loop = loop_of(1)
    loop.submit(Sequence(1, [1, 2, 3], max_tokens=9))
    loop.submit(Sequence(2, [1], max_tokens=9))
    loop.step()
    loop.step()
    assert (loop.running, loop.waiting, loop.cached_tokens) == (1, 1, 4)


def test_a_drawn_reply_depends_on_its_seed_only() -> None:
    def reply(seed: int, companions: int) -> list[int]:
        loop = loop_of(4)
        for number in range(companions):
            loop.submit(Sequence(10 + number, [number], max_tokens=20, sampling=Sampling(1.0, seed=99)))
        loop.submit(Sequence(1, [5], max_tokens=12, sampling=Sampling(4.0, seed=seed)))
        return [event.token_id for event in drained(loop)[1]]

    assert reply(7, 0) == reply(7, 3)
    assert reply(7, 0) != reply(8, 0)
