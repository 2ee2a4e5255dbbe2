"""The bounds of the next step, for engines whose costs are known."""

from dataclasses import replace

import pytest

from autoglm_api import spec as spec_models
from autoglm_node.engine.adaptive import LEAST_TOKENS, Adaptive, Load, Targets
from autoglm_node.engine.costs import StepCosts
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import Batching, Bucket
from autoglm_node.engine.sequence import Sequence, TooLongError
from autoglm_node.engine.stepping import Stepper, adaptive_for
from support.slot_models import HistoryModel

MOST = Batching((Bucket(127, 32), Bucket(1024, 8)), 512, 0.020)
TARGETS = Targets(pause_seconds=0.050, first_token_seconds=1.0)
DECODE, ROW, HELD, PACK, TOKEN = 2e-3, 1e-3, 4e-6, 4e-3, 0.1e-3


def adaptive(slow: float = 1.0, most: Batching = MOST) -> Adaptive:
    """One that knows the costs above, on a machine so many times as slow."""
    decode, row, held, pack, token = (slow * cost for cost in (DECODE, ROW, HELD, PACK, TOKEN))
    return Adaptive(most, TARGETS, StepCosts((decode, row, held, pack, token)))


def load(replies: int, in_work: tuple[int, int] | None = None, wait: float = 0.0, held: int = 0) -> Load:
    return Load(replies, held, in_work or (replies, 0), wait)


def limits(batching: Batching) -> list[int]:
    return [bucket.max_batch_size for bucket in batching.buckets]


def test_what_is_not_known_yet_bounds_nothing_and_delays_nothing() -> None:
    chosen = Adaptive(MOST, TARGETS).choose(load(9))
    assert chosen == replace(MOST, queue_delay_seconds=0.0)


def test_a_step_reads_what_fits_in_the_pause() -> None:
    tokens = adaptive().choose(load(8)).token_budget
    assert tokens == pytest.approx((0.050 - DECODE - 8 * ROW - PACK) / TOKEN, rel=0.2)


def test_with_no_reply_running_a_step_reads_all_and_all_may_start() -> None:
    chosen = adaptive().choose(load(0))
    assert chosen.token_budget == 512
    assert limits(chosen) == [32, 8]


@pytest.mark.parametrize("slow", [1.5, 2.0])
def test_a_slower_machine_reads_less_a_step(slow: float) -> None:
    assert adaptive(slow).choose(load(4)).token_budget < adaptive().choose(load(4)).token_budget


def test_where_not_even_the_least_fits_one_long_pause_is_better_than_many() -> None:
    assert adaptive(slow=50).choose(load(4)).token_budget == 512


def test_the_least_is_never_undercut() -> None:
    for slow in (1, 2, 3, 5, 8, 13, 21, 34):
        assert adaptive(slow).choose(load(8)).token_budget >= LEAST_TOKENS


def test_as_many_may_start_as_still_get_their_tokens_in_time() -> None:
    short, long = limits(adaptive(slow=2).choose(load(4)))
    assert 4 < short < 30
    assert 1 <= long <= 8
    assert limits(adaptive(slow=2).choose(load(short + 5)))[0] <= short + 5


def test_long_prompts_close_their_bucket_sooner() -> None:
    made = adaptive(slow=2, most=Batching((Bucket(127, 32), Bucket(8192, 32)), 512))
    for number in range(50):
        made.arrived(20, float(number))
        made.arrived(5000, number + 0.5)
    short, long = limits(made.choose(Load(4, 400, (4, 0))))
    assert long < short


def test_one_may_always_start() -> None:
    assert limits(adaptive(slow=4).choose(load(9, (9, 0))))[1] == 1


def test_where_the_pause_cannot_be_met_all_may_start() -> None:
    assert limits(adaptive(slow=30).choose(load(3, (3, 0)))) == [32, 8]


def test_when_first_tokens_press_all_may_start() -> None:
    made = adaptive(slow=4)
    assert limits(made.choose(load(4, wait=0.1)))[0] < 32
    assert limits(made.choose(load(4, wait=0.6))) == [32, 8]


@pytest.mark.parametrize(
    ("gap", "delay"), [(0.002, pytest.approx(0.002, rel=0.05)), (0.010, 0.0), (1.0, 0.0)], ids=["soon", "late", "rare"]
)
def test_waiting_for_company_pays_if_it_comes_before_what_it_saves(gap: float, delay: float) -> None:
    made = adaptive()
    for number in range(100):
        made.arrived(30, number * gap)
    assert made.choose(load(0)).queue_delay_seconds == delay


def test_the_delay_stays_within_its_bound() -> None:
    made = adaptive(most=replace(MOST, queue_delay_seconds=0.001))
    for number in range(100):
        made.arrived(30, number * 0.002)
    assert made.choose(load(0)).queue_delay_seconds == 0.001


def test_a_resource_that_does_not_want_it_gets_fixed_bounds() -> None:
    assert adaptive_for(spec_models.Batching(adaptive=False), MOST) is None
    assert adaptive_for(spec_models.Batching(), MOST) is not None


class Clock:
    now = 0.0

    def __call__(self) -> float:
        self.now += 0.004
        return self.now


def stepped(made: Adaptive | None) -> tuple[Stepper, list[int]]:
    stepper = Stepper(DecodeLoop(HistoryModel(4), 4, 64, MOST), made, Clock())
    for number in range(12):
        stepper.submit(Sequence(number, (7,) * 20, 30))
    tokens = []
    while not stepper.loop.idle:
        tokens += [event.token_id for event in stepper.step()]
    return stepper, tokens


def test_a_stepper_learns_from_its_steps_and_changes_no_reply() -> None:
    fixed, adapted = stepped(None), stepped(made := Adaptive(MOST, TARGETS))
    assert sorted(fixed[1]) == sorted(adapted[1])
    assert made.costs.known
    assert made.costs.decode(4, 0) == pytest.approx(0.004, rel=0.5)
    assert fixed[0].loop.batching == MOST


def test_a_stepper_refuses_what_the_loop_refuses() -> None:
    with pytest.raises(TooLongError):
        Stepper(DecodeLoop(HistoryModel(1), 1, 8), None, Clock()).submit(Sequence(1, (7,) * 8, 1))
