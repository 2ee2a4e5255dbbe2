from xml.etree import ElementTree as ET

from autoglm_demo.figures import Phase, PhaseFigures, phase_figures
from autoglm_demo.plots import phase_svg
from autoglm_demo.records import Record
from autoglm_demo.samples import PoolSample, Sample
from autoglm_shop.task import Kind

SVG = "{http://www.w3.org/2000/svg}"


def figures() -> PhaseFigures:
    records = [Record(Kind.SIMPLE, at, at + 0.3, status=200, pool="light") for at in range(9)]
    records += [Record(Kind.COMPLEX, at, at + 1.3, status=200, pool="large") for at in range(4)]
    samples = [Sample(at, (PoolSample("light", 2, 3), PoolSample("large", 1, 1)), nodes=3) for at in range(9)]
    return phase_figures(Phase("a", "A", simulated=True, records=records, samples=samples))


def texts(svg: bytes) -> set[str]:
    return {"".join(text.itertext()) for text in ET.fromstring(svg).iter(f"{SVG}text")}


def test_a_phase_without_queries_has_no_picture() -> None:
    assert phase_svg(phase_figures(Phase("a", "A"))) is None


def test_the_picture_names_load_replicas_latency_and_routing_and_says_what_is_simulated() -> None:
    svg = phase_svg(figures())
    assert svg is not None
    seen = texts(svg)
    assert {"Simple sent", "Complex sent", "light ready", "large desired", "light p95", "large"} <= seen
    assert {"Replicas (simulated)", "GPU nodes in use"} <= seen
