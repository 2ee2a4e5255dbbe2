import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoglm_cli.outcomes import Outcome, OutcomesError, read_outcomes
from autoglm_cli.quality import Labels, NoGapError, difference, interval, of_random, quality


def labels(weak: Sequence[float], strong: Sequence[float]) -> Labels:
    return Labels(np.array(weak, float), np.array(strong, float))


# Ten queries, one per step: the large model is right on all, the light one on the first five.
HALF = labels([1] * 5 + [0] * 5, [1] * 10)


@pytest.mark.parametrize(
    ("scores", "apgr", "cpt50", "cpt80"),
    [
        (range(10), 0.75, 25, 40),  # a perfect ranking: all gains come first
        (range(10, 0, -1), 0.25, 75, 90),  # the worst
        ([5] * 10, 0.5, 50, 80),  # no ranking at all
    ],
)
def test_measures_of_a_ranking(scores: Any, apgr: float, cpt50: float, cpt80: float) -> None:
    found = quality(np.array(list(scores), float), HALF)
    assert (found.apgr, found.cpt50, found.cpt80) == pytest.approx((apgr, cpt50, cpt80))


def test_a_large_model_that_is_also_worse_somewhere_can_be_overtaken() -> None:
    found = quality(np.array([1.0, 2, 3, 4]), labels([1, 0, 0, 0], [0, 1, 1, 0]))
    assert found.apgr > 0.5
    assert found.cpt50 < 50


def test_without_a_gap_there_is_no_measure() -> None:
    with pytest.raises(NoGapError):
        quality(np.arange(4.0), labels([1, 0, 1, 0], [0, 1, 0, 1]))


def test_chance_is_a_half_and_intervals_hold_the_value() -> None:
    rng = np.random.default_rng(1)
    gain = rng.random(400) < 0.3
    drawn = Labels(np.where(gain, 0.0, 1.0), np.ones(400))
    scores = gain + rng.normal(size=400)
    low, high = interval(scores, drawn, draws=100)
    assert low < quality(scores, drawn).apgr < high
    assert of_random(drawn).apgr == pytest.approx(0.5, abs=0.03)
    assert difference(scores, scores, drawn, draws=20) == (0, 0)


def test_too_few_rows_have_no_interval() -> None:
    with pytest.raises(NoGapError, match="too few rows"):
        interval(np.array([1.0, 2.0]), labels([0, 1], [1, 1]), draws=0)


def test_draws_whose_gap_points_the_other_way_are_left_out() -> None:
    """Their APGR would be of the other sign and outweigh all others."""
    rng = np.random.default_rng(3)
    weak, strong = (rng.random(60) < share for share in (0.5, 0.6))
    drawn = Labels(weak.astype(float), strong.astype(float))
    low, high = interval(rng.random(60), drawn, draws=200)
    assert low <= high


ROW = {"id": "a", "domain": "d", "question": "q?", "weak_correct": 0, "strong_correct": 1, "contaminated": 0}


def by_the_book(scores: Any, of: Labels) -> tuple[float, float, float]:
    """RouteLLM's own way: quantile bins, accuracy at each threshold, `np.interp` and the trapezoid rule."""
    thresholds = np.quantile(scores, np.linspace(0, 1, 11))[::-1]
    masks = [scores >= threshold for threshold in thresholds]
    percent = np.array([100 * mask.mean() for mask in masks])
    accuracy = np.array([np.where(mask, of.strong, of.weak).mean() for mask in masks])
    weak, strong = of.weak.mean(), of.strong.mean()
    area = np.trapezoid(accuracy, percent / 100)
    wanted = [weak + share * (strong - weak) for share in (0.5, 0.8)]
    cpt50, cpt80 = np.interp(wanted, accuracy, percent)
    return float((area - weak) / (strong - weak)), float(cpt50), float(cpt80)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("signal", [0.2, 1.0, 3.0])
def test_the_measures_are_those_of_routellm(seed: int, signal: float) -> None:
    rng = np.random.default_rng(seed)
    gain = rng.random(4000) < 0.3
    drawn = Labels(np.where(gain, 0.0, 1.0), np.ones(4000))
    scores = signal * gain + rng.normal(size=4000)
    found = quality(scores, drawn)
    apgr, cpt50, cpt80 = by_the_book(scores, drawn)
    assert found.apgr == pytest.approx(apgr, abs=0.002)
    assert (found.cpt50, found.cpt80) == pytest.approx((cpt50, cpt80), abs=0.5)


def test_many_equal_scores_are_measured_as_far_as_they_rank() -> None:
    scores = np.array([1.0] * 5 + [0.0] * 5)
    assert quality(scores, labels([0] * 5 + [1] * 5, [1] * 10)).apgr == pytest.approx(0.75)
    assert quality(scores, labels([1] * 5 + [0] * 5, [1] * 10)).apgr == pytest.approx(0.25)


def test_rows_with_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(ROW).encode() + b"\r\n" + json.dumps(ROW).encode() + b"\r\n")
    assert len(read_outcomes(path)) == 2


@pytest.mark.parametrize("compressed", [False, True])
def test_outcomes_are_read_plain_and_gzipped(tmp_path: Path, *, compressed: bool) -> None:
    text = (json.dumps(ROW) + "\n\n" + json.dumps(ROW | {"contaminated": 1, "bench": "x"}) + "\n").encode()
    path = tmp_path / "rows"
    path.write_bytes(gzip.compress(text) if compressed else text)
    rows = read_outcomes(path)
    assert [row.contaminated for row in rows] == [False, True]
    assert rows[0].gained
    assert not Outcome(question="q", weak_correct=1, strong_correct=1).gained


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"question": "q", "weak_correct": 0, "strong_correct": 1}\n{"question": "q"}', "line 2: weak_correct"),
        (b"[]", "line 1"),
        (b'{"question": "q", "weak_correct": 2, "strong_correct": 1}', "line 1: weak_correct"),
        (b"\xff\xfe", "line 1: Invalid JSON"),
        (json.dumps(ROW).encode() + b'\n{"question": "\xff"}', "line 2: Invalid JSON"),
        (b'\n\n{"question": "q", "weak_correct": 0, "strong_correct": NaN}', "line 3: strong_correct"),
        (b'{"question": "\\ud800", "weak_correct": 0, "strong_correct": 1}', "line 1: Invalid JSON"),
        (b"id,question\n1,what", "line 1: Invalid JSON"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
        (gzip.compress(b"x" * 1000)[:-12], "cannot be read"),
        (gzip.compress(bytes(range(256)))[:20] + b"\xff" * 200, "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(OutcomesError, match=sentence):
        read_outcomes(path)
