"""Whatever arrives and is cancelled when: replies are those of queries alone, and slots stay packed."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import Batching, Bucket
from autoglm_node.engine.sequence import FinishReason, Sequence
from support.slot_models import VOCABULARY, HistoryModel, history_next

ROOM = 20
PROMPTS = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=ROOM - 1)
BUCKETS = st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)).map(
    lambda caps: (Bucket(4, caps[0]), Bucket(9, caps[1]), Bucket(20, caps[2]))
)
BATCHING = st.builds(Batching, BUCKETS, st.integers(1, 40))
STOPS = st.frozensets(st.integers(0, VOCABULARY - 1), max_size=4)


def reply_alone(sequence: Sequence) -> list[int]:
    """The reply by definition, with its stop token."""
    history = list(sequence.input_ids)
    while True:
        history.append(history_next(history))
        produced = len(history) - len(sequence.input_ids)
        if history[-1] in sequence.stop_ids or produced == sequence.max_tokens or len(history) == ROOM:
            return history[len(sequence.input_ids) :]


class Traffic(RuleBasedStateMachine):
    """Clients that come, go and cancel, against one loop."""

    @initialize(slots=st.integers(1, 5), batching=BATCHING)
    def start(self, slots: int, batching: Batching) -> None:
        self.slots = slots
        self.model = HistoryModel(slots)
        self.loop = DecodeLoop(self.model, slots, ROOM, batching)
        self.open: dict[int, tuple[Sequence, list[int]]] = {}
        self.seen = 0

    @rule(ids=PROMPTS, max_tokens=st.integers(1, 12), stops=STOPS)
    def arrive(self, ids: list[int], max_tokens: int, stops: frozenset[int]) -> None:
        self.seen += 1
        sequence = Sequence(self.seen, ids, max_tokens, stop_ids=stops)
        self.loop.submit(sequence)
        self.open[self.seen] = (sequence, [])

    @rule()
    def step(self) -> None:
        idle, read = self.loop.idle, self.loop.counts.prompt_tokens
        events = self.loop.step()
        assert (bool(events) or self.loop.counts.prompt_tokens > read) is not idle
        for event in events:
            sequence, tokens = self.open[event.id]
            tokens.append(event.token_id)
            if event.finish_reason:
                assert tokens == reply_alone(sequence)
                stopped = event.finish_reason is FinishReason.STOP
                assert stopped == (event.token_id in sequence.stop_ids)
                del self.open[event.id]

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        number = data.draw(st.sampled_from(sorted(self.open)))
        assert self.loop.cancel(number)
        assert not self.loop.cancel(number)
        del self.open[number]

    @invariant()
    def every_open_query_is_known_and_slots_are_not_exceeded(self) -> None:
        assert self.loop.running + self.loop.waiting == len(self.open)
        assert self.loop.running <= self.slots

    def teardown(self) -> None:
        for _ in range(1000):
            if not self.open:
                return
            self.step()
        raise AssertionError("the loop does not come to an end")


TestTraffic = Traffic.TestCase
TestTraffic.settings = settings(max_examples=40, stateful_step_count=30)


@settings(max_examples=60)
@given(st.lists(st.tuples(PROMPTS, st.integers(1, 12)), min_size=1, max_size=12), st.integers(1, 5), BATCHING)
def test_nobody_waits_longer_than_its_elders_work(
    queries: list[tuple[list[int], int]], slots: int, batching: Batching
) -> None:
    loop = DecodeLoop(HistoryModel(slots), slots, ROOM, batching)
    for number, (ids, max_tokens) in enumerate(queries):
        loop.submit(Sequence(number, ids, max_tokens))
    step, work = 0, [2 * len(ids) + max_tokens + 2 for ids, max_tokens in queries]
    while not loop.idle:
        step += 1
        for event in loop.step():
            # As long as if all its elders had been served one by one, in chunks of half a budget of one token.
            assert not event.finish_reason or step <= sum(work) + 2
        assert step <= sum(work) + 2
