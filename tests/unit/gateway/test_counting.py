"""Plain numbers read as the client library would have written them."""

import pytest
from prometheus_client import CollectorRegistry, Counter, generate_latest
from prometheus_client import Histogram as LibraryHistogram
from prometheus_client.parser import text_string_to_metric_families

from autoglm_gateway.counting import Histogram, Tally

BOUNDS = (0.005, 0.1, 1, 320)
VALUES = (0.0, 0.005, 0.0051, 0.1, 0.5, 1, 2, 320, 321)


def told(registry: CollectorRegistry) -> dict[str, float]:
    """Every series that Prometheus would get, but the library's times of creation."""
    families = text_string_to_metric_families(generate_latest(registry).decode())
    samples = [sample for family in families for sample in family.samples]
    return {
        f"{one.name}{sorted(one.labels.items())}": one.value for one in samples if not one.name.endswith("_created")
    }


def test_a_histogram_tells_what_the_library_tells() -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    own = Histogram(ours, "wait_seconds", "Text.", "pool", BOUNDS)
    library = LibraryHistogram("wait_seconds", "Text.", ["pool"], buckets=BOUNDS, registry=theirs)
    for pool in ("light", "large"):
        for value in VALUES:
            own.observe(pool, value)
            library.labels(pool).observe(value)
    assert told(ours) == told(theirs)
    assert told(ours)["wait_seconds_count[('pool', 'light')]"] == len(VALUES)


@pytest.mark.parametrize("name", ["queries_total", "queries"])
def test_a_counter_tells_what_the_library_tells(name: str) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    own = Tally(ours, name, "Text.", ("pool", "code"))
    library = Counter("queries", "Text.", ["pool", "code"], registry=theirs)
    for labels in [("light", "200"), ("large", "499"), ("light", "200")]:
        own.add(*labels)
        library.labels(*labels).inc()
    assert told(ours) == told(theirs)


def test_what_was_never_counted_has_no_series_but_its_type_is_told() -> None:
    registry = CollectorRegistry()
    Tally(registry, "queries_total", "Text.", ("pool",))
    Histogram(registry, "wait_seconds", "Text.", "pool", BOUNDS)
    assert told(registry) == {}
    assert b"# TYPE queries_total counter" in generate_latest(registry)
    assert b"# TYPE wait_seconds histogram" in generate_latest(registry)
