"""Cases with the answers of knative serving 0.51.0's own code (Scale, the window averages), recorded from it."""

import json
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from autoglm_operator.scaling import kpa

RECORDED = Path(__file__).resolve().parents[2] / "support" / "recorded" / "kpa-0.51.0.jsonl"
CASES = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]
EPOCH = 1_700_000_000
ROUNDING = 1.01e-6  # upstream keeps a running total, so its last digit may be cut one lower
Json = Mapping[str, Any]


def profile(case: Json) -> kpa.Profile:
    spec = case["Spec"]
    return kpa.Profile(
        target=spec["TargetValue"],
        total=spec["TotalValue"],
        stable_window=timedelta(seconds=case["StableSeconds"]),
        panic_threshold=spec["PanicThreshold"],
        max_scale_up_rate=spec["MaxScaleUpRate"],
        max_scale_down_rate=spec["MaxScaleDownRate"],
        activation_scale=spec["ActivationScale"],
        scale_down_delay=timedelta(seconds=spec["ScaleDownDelay"]),
        target_burst_capacity=spec["TargetBurstCapacity"],
        reachable=spec["Reachable"],
    )


def sizes(case: Json) -> Iterator[tuple[list[int], bool]]:
    start, settings = datetime.fromtimestamp(EPOCH, UTC), profile(case)
    memory = kpa.started(case["Start"], start)
    for tick in case["Ticks"]:
        now = start + timedelta(seconds=tick["At"])
        scale, memory = kpa.decide(tick["Stable"], tick["Panic"], tick["Ready"], settings, memory, now)
        assert scale.size is not None
        yield [scale.size, int(scale.excess_burst_capacity)], scale.panicking


def buckets(case: Json, until: float) -> list[kpa.Bucket]:
    totals: dict[int, float] = {}
    for second, value in case["Records"]:
        if second <= until:
            totals[EPOCH + math.floor(second)] = totals.get(EPOCH + math.floor(second), 0.0) + value
    return [kpa.Bucket(second, value) for second, value in sorted(totals.items())]


def test_every_recorded_tick_has_the_same_size_capacity_and_panic() -> None:
    for one in CASES:
        upstream = one["upstream"]
        assert list(sizes(one["case"])) == list(zip(upstream["Sizes"], upstream["Panics"], strict=True))


def test_every_recorded_average_is_the_same() -> None:
    for one in CASES:
        case, upstream = one["case"], one["upstream"]
        answers = zip(upstream["Lin"] or [], upstream["Exp"] or [], upstream["Empty"] or [], strict=True)
        for at, (linear, exponential, is_empty) in zip(case["Asks"], answers, strict=True):
            seen, now = buckets(case, at), EPOCH + math.floor(at)
            average = kpa.window_average(seen, now, case["Window"])
            weighted = kpa.exponential_average(seen, now, case["Window"])
            assert (average is None, weighted is None) == (is_empty, is_empty)
            assert abs((average or 0.0) - linear) < ROUNDING or is_empty
            assert math.isclose(weighted or 0.0, exponential, rel_tol=1e-9, abs_tol=1e-9) or is_empty
