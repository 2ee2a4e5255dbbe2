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


ROW = {"id": "a", "domain": "d", "question": "q?", "weak_correct": 0, "strong_correct": 1, "contaminated": 0}


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
        (b"\xff\xfe", "cannot be read"),
        (b"\x1f\x8bnot gzip", "cannot be read"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, content: bytes, sentence: str) -> None:
    path = tmp_path / "rows"
    path.write_bytes(content)
    with pytest.raises(OutcomesError, match=sentence):
        read_outcomes(path)
