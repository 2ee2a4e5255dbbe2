from autoglm_demo import checks
from autoglm_demo.checks import Bounds
from autoglm_demo.records import Record
from autoglm_demo.samples import PoolSample, Sample, most_ready, pool_names, seconds_until, settled
from autoglm_shop.task import Kind

BOUNDS = Bounds(1, 3)
SERVES = {"light": Kind.SIMPLE, "large": Kind.COMPLEX}


def answers(count: int, kind: Kind, pool: str, *, right: int = 0, simulated: bool = False) -> list[Record]:
    return [
        Record(kind, 0, 1, status=200, pool=pool, correct=number < right, simulated=simulated)
        for number in range(count)
    ]


def sizes(*ready: int, desired: int | None = None, nodes: int = 0) -> list[Sample]:
    return [
        Sample(at, (PoolSample("light", size, size if desired is None else desired),), nodes=nodes)
        for at, size in enumerate(ready)
    ]


LOST = Record(Kind.SIMPLE, 0, 1, error="gone")
REFUSED = Record(Kind.SIMPLE, 0, 1, status=429)


def test_one_lost_query_fails_the_claim_that_all_were_answered() -> None:
    good = answers(10, Kind.SIMPLE, "light")
    assert checks.all_answered(good, 10).held
    assert not checks.all_answered(good, 11).held
    failed = checks.all_answered([*good, LOST], 10)
    assert not failed.held
    assert failed.evidence == "11 sent, 1 x gone"


def test_correctness_may_fall_short_by_the_margin_only() -> None:
    good = answers(100, Kind.COMPLEX, "large", right=60)
    assert checks.correctness(good, "large", Kind.COMPLEX, 70, 10).held
    assert not checks.correctness(good, "large", Kind.COMPLEX, 71, 10).held


def test_correctness_of_no_answers_does_not_hold() -> None:
    assert not checks.correctness([], "large", Kind.COMPLEX, 0, 0).held


def test_routing_counts_answers_of_the_pool_that_serves_the_kind() -> None:
    mixed = answers(9, Kind.SIMPLE, "light") + answers(1, Kind.COMPLEX, "light")
    assert checks.routing(mixed, SERVES, 90).held
    assert not checks.routing(mixed, SERVES, 91).held
    assert not checks.routing([], SERVES, 1).held


def test_every_pool_must_have_answered() -> None:
    both = answers(1, Kind.SIMPLE, "light") + answers(1, Kind.COMPLEX, "large")
    assert checks.both_pools_answered(both, ["light", "large"]).held
    assert not checks.both_pools_answered(both[:1], ["light", "large"]).held


def test_growth_stays_within_the_bounds() -> None:
    assert checks.grew(sizes(1, 1, 3, 1), "light", BOUNDS).held
    assert "after 2 s" in checks.grew(sizes(1, 1, 3, 1), "light", BOUNDS).evidence
    assert not checks.grew(sizes(1, 1, 1), "light", BOUNDS).held
    assert not checks.grew(sizes(1, 4), "light", BOUNDS).held
    assert not checks.grew(sizes(2, 3), "light", BOUNDS).held
    assert not checks.grew([], "light", BOUNDS).held


def test_shrinking_ends_at_the_smallest_size_wanted_and_ready() -> None:
    assert checks.shrank(sizes(3, 2, 1), "light", BOUNDS).held
    assert not checks.shrank(sizes(3, 2), "light", BOUNDS).held
    assert not checks.shrank(sizes(3, 1, desired=3), "light", BOUNDS).held
    assert not checks.shrank([], "light", BOUNDS).held


def test_nodes_fill_and_empty() -> None:
    assert checks.nodes_filled([*sizes(1, nodes=32), *sizes(1, nodes=2)], 32).held
    assert not checks.nodes_filled(sizes(1, nodes=31), 32).held
    assert checks.nodes_emptied([*sizes(1, nodes=32), *sizes(1, nodes=2)], 2).held
    assert not checks.nodes_emptied(sizes(1, nodes=32), 2).held


def test_few_failures_is_a_share() -> None:
    assert checks.few_failures([*answers(99, Kind.SIMPLE, "light"), REFUSED], 1).held
    assert not checks.few_failures([*answers(98, Kind.SIMPLE, "light"), REFUSED, LOST], 1).held
    assert not checks.few_failures([], 1).held


def test_simulated_answers_must_say_so_and_real_ones_must_not() -> None:
    real, fake = answers(2, Kind.SIMPLE, "light"), answers(2, Kind.SIMPLE, "light", simulated=True)
    assert checks.simulation_declared(fake, simulated=True).held
    assert checks.simulation_declared(real, simulated=False).held
    assert not checks.simulation_declared([*real, *fake], simulated=True).held
    assert not checks.simulation_declared([*real, *fake], simulated=False).held


def test_samples_answer_questions_about_sizes() -> None:
    seen = sizes(1, 2, 3, 1)
    assert pool_names(seen) == ("light",)
    assert most_ready(seen, "light") == 3
    assert most_ready(seen, "large") == 0
    assert seconds_until(seen, "light", 2) == 1
    assert seconds_until(seen, "light", 4) is None
    assert settled(seen, "light", 1)
    assert seen[0].desired("large") == 0
