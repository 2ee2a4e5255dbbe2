"""Cases in the spirit of kubernetes' replica_calculator_test.go: pods by level, readiness, phase; the expected size."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from autoglm_operator.scaling.hpa.metrics import (
    MAX_INT32,
    MAX_INT64,
    AverageValue,
    Fleet,
    Metric,
    MetricError,
    PodsAverage,
    Unavailable,
    Utilization,
    Value,
)
from autoglm_operator.scaling.hpa.pods import Groups, Phase, Pod, Readiness, Timing, Usage, grouped
from support.scaling_times import at

NOW = at(10_000)
WINDOW = timedelta(seconds=60)
LONG_AGO = at(0)


def readiness(letter: str) -> Readiness:
    """T ready for long, F never ready."""
    return Readiness(is_false=letter == "F", is_true=letter == "T", changed_at=LONG_AGO)


def pod(index: int, letter: str = "T", *, request: int | None = 1000) -> Pod:
    """T ready, F not ready, P pending, X failed, D terminating."""
    phase = {"P": Phase.PENDING, "X": Phase.FAILED}.get(letter, Phase.RUNNING)
    return Pod(
        f"pod-{index}",
        phase=phase,
        terminating=letter == "D",
        readiness=readiness(letter),
        started_at=LONG_AGO,
        request_milli=request,
    )


def pods(letters: str) -> tuple[Pod, ...]:
    return tuple(pod(index, letter) for index, letter in enumerate(letters))


def samples(levels: Sequence[int | None]) -> Mapping[str, Usage]:
    return {f"pod-{i}": Usage(level, NOW, WINDOW) for i, level in enumerate(levels) if level is not None}


def fleet(letters: str, *, current: int | None = None, status: int | None = None) -> Fleet:
    size = len(letters) if current is None else current
    return Fleet(size, size if status is None else status, pods(letters), NOW)


CPU_CASES = [
    # letters, current, levels (of 1000 requested), target percent -> size
    ("TTT", 3, [300, 500, 700], 30, 5),
    ("FTT", 3, [300, 500, 700], 30, 4),  # unready counts as 0 on the way up
    ("TFF", 3, [400, 500, 700], 30, 3),  # with the unready the ratio crosses 1
    ("TTTP", 3, [300, 500, 700, None], 30, 5),
    ("TTXX", 2, [500, 700, None, None], 30, 4),
    ("TTDD", 2, [500, 700, 900, 900], 30, 4),
    ("TTTTT", 5, [100, 300, 500, 250, 250], 50, 3),
    ("FTTTT", 5, [100, 300, 500, 250, 250], 50, 3),  # 4 ready at 32 %: ceil(0.64 * 4)
    ("TT", 2, [1000, None], 100, 2),  # ratio 1: nothing is filled in
    ("TT", 2, [1900, None], 100, 2),
    ("TT", 2, [600, None], 100, 2),
    ("TT", 2, [400, None], 150, 2),  # targets above 100 % fill in the target
    ("FTT", 3, [100, 450, None], 50, 3),
    ("FTT", 3, [100, 2000, None], 50, 4),
    ("FTTT", 4, [100, 100, 100, None], 50, 3),
    ("TTT", 3, [550, 550, 550], 50, 3),  # 1.1: inside the tolerance
    ("TTT", 3, [559, 559, 559], 50, 3),  # int(55.9 %) is 55 %
    ("TTT", 3, [560, 560, 560], 50, 4),
    ("TTT", 3, [450, 450, 450], 50, 3),
    ("TTT", 3, [0, 0, 0], 50, 0),
    ("TTTPPP", 3, [500, 500, 500, None, None, None], 50, 3),
    ("TTTT", 4, [100, 2000, None, None], 50, 4),  # missing count as 0 on the way up: 52 %, inside the tolerance
    ("TTTT", 4, [100, 2400, None, None], 50, 5),  # 62 / 50 over 4
    ("TT", 2, [5000, 5000], 1, 1000),
    ("FTTTT", 3, [9, 400, 400, 400, 400], 50, 4),  # unready does not matter on the way down: ceil(0.8 * 4)
    ("FTTT", 4, [9, 700, 700, 700], 50, 4),  # with the unready 52 %: inside the tolerance
    ("TT", 2, [400, None], 50, 2),  # the missing at 100 % turn the direction
]


@pytest.mark.parametrize(("letters", "current", "levels", "target", "size"), CPU_CASES)
def test_cpu_utilisation(letters: str, current: int, levels: list[int | None], target: int, size: int) -> None:
    assert Utilization("cpu", target, samples(levels)).proposal(fleet(letters, current=current)) == size


PODS_CASES = [
    # letters, current, levels, target -> size
    ("TTT", 3, [20_000, 10_000, 30_000], 15_000, 4),
    ("FFT", 3, [50_000, 10_000, 30_000], 15_000, 6),  # readiness does not matter for a Pods metric
    ("TTTP", 3, [50_000, 10_000, 30_000, None], 15_000, 6),  # pending counts as 0: ceil(1.5 * 4)
    ("TTT", 3, [9_000, 9_000, None], 15_000, 3),
    ("TTTT", 4, [15_000, 15_000, 15_000, None], 15_000, 4),
    ("TTTT", 4, [3_000, 3_000, 3_000, None], 15_000, 2),
    ("TTTT", 4, [60_000, 60_000, 60_000, None], 15_000, 12),
    ("TT", 2, [1, 2], 1, 2),  # int(3 / 2) is 1
    ("TTTT", 1, [3_000, 3_000, 3_000, None], 15_000, 1),  # 0.4 over four pods is more than the one asked for
    ("TT", 10, [60_000, None], 15_000, 10),  # 2 over two pods is less than the ten asked for
    ("TT", 2, [-1, -2], 1, -2),  # towards zero as in Go: -1, not -2
    ("TTT", 3, [15_000, 15_000, None], 15_000, 3),  # exactly at the target: nothing is filled in
    ("TTTTD", 4, [60_000, 60_000, 0, 0, 9], 15_000, 8),  # a terminating pod's sample is no sample
]


@pytest.mark.parametrize(("letters", "current", "levels", "target", "size"), PODS_CASES)
def test_pods_average(letters: str, current: int, levels: list[int | None], target: int, size: int) -> None:
    assert PodsAverage(target, samples(levels)).proposal(fleet(letters, current=current)) == size


def test_samples_of_unknown_pods_are_averaged_for_pods_but_skipped_for_resources() -> None:
    of_three = samples([1000, 1000, 4000])
    assert PodsAverage(1000, of_three).proposal(fleet("TT")) == 4
    assert Utilization("cpu", 100, of_three).proposal(fleet("TT")) == 2


VALUE_CASES = [
    # letters, spec, usage, target -> size
    ("TTT", 3, [40_000], 30_000, 4),
    ("TFF", 3, [60_000], 30_000, 2),  # only ready pods count: grows the pool less than it should
    ("FFF", 3, [60_000], 30_000, 0),  # kubernetes #130130
    ("TTT", 3, [33_000], 30_000, 3),
    ("TTT", 3, [10_000, 20_000, 30_000], 30_000, 6),
    ("T", 0, [100], 30_000, 1),
    ("T", 0, [0], 30_000, 0),
    ("", 0, [90_000], 30_000, 3),  # at zero no pod is looked at
    ("TTT", 3, [MAX_INT64, MAX_INT64], 1, MAX_INT32),
    ("PPP", 3, [90_000], 30_000, 0),
    ("TTT", 3, [27_000], 30_000, 3),  # 0.9: the tolerance is inclusive
    ("TTT", 3, [26_999], 30_000, 3),  # outside, and ceil(2.7) is 3
    ("TTT", 3, [-30_000, 90_000], 30_000, 6),
]


@pytest.mark.parametrize(("letters", "spec", "usage", "target", "size"), VALUE_CASES)
def test_value(letters: str, spec: int, usage: list[int], target: int, size: int) -> None:
    assert Value(target, usage).proposal(fleet(letters, current=spec)) == size


AVERAGE_CASES = [
    # status replicas, usage, target -> size
    (3, [40_000], 10_000, 4),
    (3, [33_000], 10_000, 3),
    (4, [33_000], 10_000, 4),  # ratio 0.825: outside, and ceil(3.3) is 4
    (5, [33_000], 10_000, 4),  # a surge pod shrinks the pool: kubernetes #123296
    (0, [5_000], 10_000, 1),
    (0, [0], 10_000, 0),
    (3, [MAX_INT64, MAX_INT64], 1, MAX_INT32),
    (3, [-5, 10_000], 10_000, MAX_INT32),  # upstream takes a negative running sum for an overflow
    (1, [11_000], 10_000, 1),
    (1, [11_001], 10_000, 2),
    (1000, [1], 10_000, 1),
]


@pytest.mark.parametrize(("status", "usage", "target", "size"), AVERAGE_CASES)
def test_average_value(status: int, usage: list[int], target: int, size: int) -> None:
    assert AverageValue(target, usage).proposal(fleet("FFF", status=status)) == size


def test_an_objects_negative_figure_is_no_overflow() -> None:
    assert AverageValue(10_000, [-30_000], is_external=False).proposal(fleet("TTT")) == -3


def test_a_missing_sample_is_told_before_a_missing_request() -> None:
    bare = replace(fleet("T"), pods=(pod(0, request=None),))
    with pytest.raises(MetricError, match="did not receive metrics"):
        Utilization("cpu", 50, {}).proposal(bare)


ERRORS: list[tuple[Metric, Fleet, str]] = [
    (Utilization("cpu", 50, samples([1])), fleet(""), "no pods returned by selector"),
    (Value(1, [9]), fleet("", current=2), "no pods returned by selector"),
    (Utilization("cpu", 50, {}), fleet("TT"), "did not receive metrics"),
    (Utilization("cpu", 50, samples([5])), fleet("P"), "did not receive metrics"),
    (Utilization("memory", 50, {"other": Usage(5, NOW, WINDOW)}), fleet("T"), "no metrics returned matched"),
    (
        Utilization("cpu", 50, samples([5])),
        replace(fleet("T"), pods=(pod(0, request=None),)),
        "missing request for cpu in Pod pod-0",
    ),
    (
        Utilization("cpu", 50, samples([5])),
        replace(fleet("T"), pods=(pod(0, request=0),)),
        "no metrics returned matched",
    ),
    (Unavailable("unable to get metric"), fleet("T"), "unable to get metric"),
]


@pytest.mark.parametrize(("metric", "of", "message"), ERRORS)
def test_a_metric_without_a_figure_says_why(metric: Metric, of: Fleet, message: str) -> None:
    with pytest.raises(MetricError, match=message):
        metric.proposal(of)


def cpu_group(*, started: float, changed: float, sampled: float, is_false: bool) -> Groups:
    starting = Pod(
        "pod-0",
        readiness=Readiness(is_false, not is_false, NOW - timedelta(seconds=changed)),
        started_at=NOW - timedelta(seconds=started),
    )
    sample = {"pod-0": Usage(1, NOW - timedelta(seconds=sampled), WINDOW)}
    return grouped([starting], sample, resource="cpu", timing=Timing(), now=NOW)


READINESS_CASES = [
    # seconds since start, since the last change, since the sample; not ready -> counts
    (100, 70, 0, False, True),  # ready a whole window before the sample
    (100, 60, 0, False, True),
    (100, 59, 0, False, False),  # the window reaches back before it was ready
    (100, 70, 15, False, False),
    (100, 70, 0, True, False),
    (299, 59, 0, False, False),
    (300, 59, 0, False, True),  # initialised: being ready is enough
    (400, 395, 0, True, False),  # never ready: changed within the readiness delay of the start
    (400, 370, 0, True, True),  # changed 30 s after the start: it was ready once
    (400, 371, 0, True, False),
]


@pytest.mark.parametrize(("started", "changed", "sampled", "is_false", "counts"), READINESS_CASES)
def test_which_cpu_samples_count(
    started: float, changed: float, sampled: float, *, is_false: bool, counts: bool
) -> None:
    groups = cpu_group(started=started, changed=changed, sampled=sampled, is_false=is_false)
    assert (groups.ready, len(groups.unready)) == ((1, 0) if counts else (0, 1))


def test_groups() -> None:
    letters = pods("TXDPT")
    groups = grouped(letters, samples([1]), resource="memory", timing=Timing(), now=NOW)
    assert groups == Groups(1, frozenset({"pod-3"}), frozenset({"pod-4"}), frozenset({"pod-1", "pod-2"}))


def test_a_cpu_pod_without_conditions_is_unready() -> None:
    groups = grouped([Pod("pod-0")], samples([1]), resource="cpu", timing=Timing(), now=NOW)
    assert groups.unready == {"pod-0"}
