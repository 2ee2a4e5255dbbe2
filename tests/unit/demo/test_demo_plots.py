from xml.etree import ElementTree as ET

import pytest

from autoglm_demo.figures import Phase, PhaseFigures, phase_figures
from autoglm_demo.plots import phase_svg
from autoglm_demo.records import Record
from autoglm_demo.samples import PoolSample, Sample
from autoglm_shop.task import Kind

SVG = "{http://www.w3.org/2000/svg}"


def figures(*, sampled: bool, simulated: bool = False) -> PhaseFigures:
    records = [Record(Kind.SIMPLE, at, at + 0.3, status=200, pool="light") for at in range(9)]
    records += [Record(Kind.COMPLEX, at, at + 1.3, status=200, pool="large") for at in range(4)]
    pools = (PoolSample("light", 2, 3), PoolSample("large", 1, 1))
    samples = [Sample(at, pools, nodes=3 if simulated else 0) for at in range(9)] if sampled else []
    return phase_figures(Phase("a", "A", simulated=simulated, records=records, samples=samples))


def texts(svg: bytes) -> set[str]:
    return {"".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")}


def test_a_phase_without_queries_has_no_picture() -> None:
    assert phase_svg(phase_figures(Phase("a", "A"))) is None


@pytest.mark.parametrize("simulated", [True, False])
def test_the_picture_names_load_replicas_latency_and_routing(*, simulated: bool) -> None:
    svg = phase_svg(figures(sampled=True, simulated=simulated))
    assert svg is not None
    seen = texts(svg)
    assert {"Simple sent", "Complex sent", "light ready", "large desired", "light p95", "large"} <= seen
    assert ("Replicas (simulated)" in seen) is simulated
    assert ("GPU nodes in use" in seen) is simulated


def test_without_samples_there_is_no_panel_of_replicas() -> None:
    svg = phase_svg(figures(sampled=False))
    assert svg is not None
    assert not any("Replicas" in text for text in texts(svg))
