"""The pitfalls whose outcome does not hang on the machine's speed: they bite a plain Triton and not our runtime."""

from pathlib import Path

import pytest

from autoglm_pitfalls.__main__ import SCENARIOS, table
from autoglm_pitfalls.scenario import Finding, Scenario

STEADY = [scenario for scenario in SCENARIOS if not scenario.timing]


@pytest.mark.parametrize("scenario", STEADY, ids=[scenario.name for scenario in STEADY])
def test_bites_a_plain_triton_and_not_our_runtime(scenario: Scenario, tmp_path: Path) -> None:
    raw, ours = scenario.raw(tmp_path / "raw"), scenario.ours(tmp_path / "ours")
    assert (raw.bites, ours.bites) == (True, False), f"plain: {raw.seen}; ours: {ours.seen}"


def test_the_page_has_a_line_for_every_scenario() -> None:
    page = table([(scenario, Finding("a", bites=True), Finding("b", bites=False)) for scenario in SCENARIOS])
    assert all(f"(`{scenario.name}`) | a | yes | b | no |" in page for scenario in SCENARIOS)
