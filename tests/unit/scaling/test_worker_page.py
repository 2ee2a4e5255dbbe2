from pathlib import Path

import pytest

from autoglm_api import names
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading
from autoglm_operator.shell.prometheus.wanted import Kind
from autoglm_operator.shell.worker_page import percentages, quantile, reading_of

EXPOSITIONS = Path(__file__).parents[2] / "support" / "expositions"
SILENT = NoData(Problem.TIMEOUT, "no answer")


def test_a_page_of_triton_tells_cache_and_gpus() -> None:
    found = percentages((EXPOSITIONS / "triton_tensorrtllm.txt").read_text())
    assert found[Kind.KV_CACHE] == pytest.approx((85.0,), abs=0.01)
    assert found[Kind.GPU_UTILIZATION] == pytest.approx((97.0,))
    assert found[Kind.GPU_MEMORY] == pytest.approx((85.0,))


def test_other_engines_tell_their_cache() -> None:
    assert percentages((EXPOSITIONS / "triton_vllm.txt").read_text()) == {Kind.KV_CACHE: (43.75,)}
    assert percentages((EXPOSITIONS / "vllm.txt").read_text()) == {Kind.KV_CACHE: (62.5,)}
    ours = (
        f'{names.METRIC_ENGINE_CACHED_TOKENS}{{model="m"}} 256\n{names.METRIC_ENGINE_CACHE_LIMIT}{{model="m"}} 1024\n'
    )
    assert percentages(ours) == {Kind.KV_CACHE: (25.0,)}


@pytest.mark.parametrize("page", ["", "# nothing\n", "nv_gpu_memory_used_bytes 5\n", "other 1\n"])
def test_a_page_without_them_tells_nothing(page: str) -> None:
    assert percentages(page) == {}


def test_a_broken_page_is_refused() -> None:
    with pytest.raises(ValueError, match=r"\w"):
        percentages("nv_gpu_utilization{ broken\n")


def page(*values: float) -> dict[Kind, tuple[float, ...]]:
    return {Kind.KV_CACHE: values}


@pytest.mark.parametrize(
    ("pages", "reading"),
    [
        ([page(10), page(85)], Fresh(77_500)),
        ([page(50)], Fresh(50_000)),
        ([page(50), SILENT], AtLeast(50_000, Problem.PARTIAL, "1 of 2 replicas tell it directly")),
        ([page(50), {}], AtLeast(50_000, Problem.PARTIAL, "1 of 2 replicas tell it directly")),
        ([page(50), page(float("nan"))], AtLeast(50_000, Problem.PARTIAL, "1 of 2 replicas tell it directly")),
        ([page(50), page(-3)], AtLeast(50_000, Problem.PARTIAL, "1 of 2 replicas tell it directly")),
        ([page(101)], NoData(Problem.MISSING, "none of 1 replicas tells it directly")),
        ([SILENT], NoData(Problem.MISSING, "none of 1 replicas tells it directly")),
        ([], NoData(Problem.MISSING, "none of 0 replicas tells it directly")),
    ],
)
def test_a_silent_or_senseless_replica_is_never_zero(
    pages: list[dict[Kind, tuple[float, ...]]], reading: Reading
) -> None:
    assert reading_of(Kind.KV_CACHE, pages) == reading


def test_a_quantile_of_one() -> None:
    assert (quantile([7], 0.9), quantile([3, 1, 2], 0.5)) == (7, 2)
