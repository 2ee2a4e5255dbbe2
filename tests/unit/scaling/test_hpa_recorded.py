"""Cases with the answers of kubernetes 1.36.3's own code, recorded by `benchmarks/conformance/hpa/run.py --record`."""

import json
from pathlib import Path

from support.hpa_cases import differences

RECORDED = Path(__file__).resolve().parents[2] / "support" / "recorded" / "hpa-1.36.3.jsonl"
CASES = [json.loads(line) for line in RECORDED.read_text(encoding="utf-8").splitlines()]


def test_every_recorded_case_has_the_same_size_reasons_and_records() -> None:
    found = [differs for one in CASES if (differs := differences(one["case"], one["upstream"]))]
    assert found == []


def test_the_record_covers_every_reason() -> None:
    reasons = {one["upstream"]["LimitReason"] for one in CASES}
    assert reasons == {
        "",
        "DesiredWithinRange",
        "ScaleDownLimit",
        "ScaleUpLimit",
        "TooFewReplicas",
        "TooManyReplicas",
    }
    assert {one["upstream"]["AbleReason"] for one in CASES} >= {"ScaleDownStabilized", "ScaleUpStabilized"}
