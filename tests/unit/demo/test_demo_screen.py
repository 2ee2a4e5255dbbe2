import io

import pytest
from rich.console import Console

from autoglm_demo.checks import Check
from autoglm_demo.figures import Phase
from autoglm_demo.records import Record
from autoglm_demo.samples import PoolSample, Sample
from autoglm_demo.screen import Screen
from autoglm_shop.task import Kind

SAMPLE = Sample(20.0, (PoolSample("light", 2, 3),), nodes=7, in_flight=4)


def phase(*, simulated: bool = False) -> Phase:
    records = [Record(Kind.SIMPLE, at, at + 0.5, status=200, pool="light", correct=True) for at in range(20)]
    return Phase("sale", "A sale", simulated=simulated, records=records)


def shown(*, terminal: bool, simulated: bool = False) -> str:
    target = io.StringIO()
    screen = Screen(Console(file=target, force_terminal=terminal, width=120))
    with screen.live(phase(simulated=simulated)) as show:
        show(SAMPLE)
        show(SAMPLE)
    return target.getvalue()


@pytest.mark.parametrize("simulated", [True, False])
def test_a_terminal_gets_a_table(*, simulated: bool) -> None:
    text = shown(terminal=True, simulated=simulated)
    assert "A sale" in text
    assert "500 ms" in text
    assert ("simulated replicas" in text) is simulated
    assert ("7 fake GPU nodes in use" in text) is simulated


def test_elsewhere_there_is_one_line_in_five_seconds() -> None:
    assert shown(terminal=False).count("light 2/3") == 1


def test_answers_of_simulated_replicas_have_no_correctness() -> None:
    for simulated, right in ((False, "100 %"), (True, "-")):
        target = io.StringIO()
        Screen(Console(file=target, width=120)).answers(phase(simulated=simulated))
        row = next(line for line in target.getvalue().splitlines() if "Simple" in line)
        assert right in row
        assert ("100 %" in row) is not simulated


def test_a_failed_claim_stands_out() -> None:
    target = io.StringIO()
    Screen(Console(file=target, width=120)).verdicts([Check("fine", True, "1 of 1"), Check("broken", False, "0 of 1")])
    held, failed = target.getvalue().splitlines()
    assert "held" in held
    assert "FAILED" in failed
    assert "0 of 1" in failed
