import json
from random import Random

import pytest

from autoglm_demo.checks import Check
from autoglm_demo.curve import flash_sale
from autoglm_demo.figures import DemoFigures, Phase, phase_figures
from autoglm_demo.page import duration, page
from autoglm_demo.records import Record
from autoglm_demo.samples import PoolSample, Sample
from autoglm_shop.task import Kind


def busy_phase(*, simulated: bool = False) -> Phase:
    rng, curve = Random(5), flash_sale(12)
    records = []
    for at in curve.arrivals(rng):
        kind = rng.choice(tuple(Kind))
        slow = 0.2 if kind is Kind.SIMPLE else 0.9
        took = rng.expovariate(1 / slow)
        pool = "light" if kind is Kind.SIMPLE else "large"
        records.append(Record(kind, at, at + took, status=200, pool=pool, correct=rng.random() < 0.9))
    samples = [
        Sample(at, (PoolSample("light", size, size), PoolSample("large", 1, 2)), nodes=size, in_flight=3 * size)
        for at in range(90)
        if (size := 1 + round(curve.rate(at) / 4))
    ]
    return Phase("sale", "A <sale>", simulated=simulated, seconds=90, records=records, samples=samples)


def run_of(*phases: Phase) -> DemoFigures:
    return DemoFigures(
        started="2026-01-01T00:00:00+00:00",
        seconds=99,
        held=all(phase.held for phase in phases),
        machine={"processors": "2"},
        versions={"python": "3.11"},
        phases=[phase_figures(phase) for phase in phases],
    )


def test_figures_of_a_phase() -> None:
    phase = busy_phase()
    phase.records.append(Record(Kind.SIMPLE, 90, 91, status=429))
    figures = phase_figures(phase)
    assert (figures.sent, figures.answered) == (len(phase.records), len(phase.records) - 1)
    assert figures.failures == {"status 429": 1}
    assert figures.series is not None
    width = figures.series.at[1] - figures.series.at[0]
    for rates, count in [
        (figures.series.sent_per_second, figures.sent),
        (figures.series.answered_per_second, figures.answered),
    ]:
        assert sum(map(sum, rates.values())) * width == pytest.approx(count)


def test_a_phase_without_queries_has_no_series() -> None:
    assert phase_figures(Phase("cluster", "Cluster")).series is None


def test_figures_are_json_and_come_back_equal() -> None:
    run = run_of(busy_phase(), Phase("cluster", "Cluster"))
    text = run.model_dump_json()
    assert DemoFigures.model_validate_json(text) == run
    assert json.loads(text)["phases"][0]["samples"][0]["pools"][0]["pool"] == "light"


def test_one_failed_claim_fails_the_run() -> None:
    phase = Phase("a", "A", checks=[Check("fine", True, ""), Check("not fine", False, "2 of 3")])
    assert not run_of(Phase("b", "B"), phase).held
    html = page(run_of(phase), lambda _: None)
    assert "Some claims did not hold" in html
    assert "2 of 3" in html


def test_the_page_shows_claims_pictures_and_that_replicas_are_simulated() -> None:
    phase = busy_phase(simulated=True)
    phase.checks.append(Check("all 32 GPU nodes filled", True, "32 of 32"))
    html = page(run_of(phase), lambda _: b"<svg/>")
    assert "Every claim held." in html
    assert "simulated replicas" in html
    assert "all 32 GPU nodes filled" in html
    assert 'src="data:image/svg+xml;base64,PHN2Zy8+"' in html
    assert "A &lt;sale&gt;" in html


@pytest.mark.parametrize(("seconds", "text"), [(0.0123, "12 ms"), (1.23, "1.2 s"), (75, "75 s"), (312, "5 min 12 s")])
def test_durations_read_well(seconds: float, text: str) -> None:
    assert duration(seconds) == text
