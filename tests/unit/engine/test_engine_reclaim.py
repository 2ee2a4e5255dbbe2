import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from autoglm_node.engine import reclaim
from autoglm_node.engine.reclaim import Reclaimer


def touch(file: Path, stamp: int) -> None:
    file.touch()
    os.utime(file, ns=(stamp, stamp))


def test_asked_once_reclaims_once_also_when_busy(tmp_path: Path) -> None:
    asked = tmp_path / "reclaim"
    reclaimer = Reclaimer(asked, 60, 0)
    assert not reclaimer.due(2, idle=False)
    touch(asked, 5)
    assert reclaimer.due(4, idle=False)
    assert not reclaimer.due(6, idle=False)
    touch(asked, 6)
    assert reclaimer.due(8, idle=False)


def test_a_request_from_before_the_start_is_none(tmp_path: Path) -> None:
    touch(tmp_path / "reclaim", 5)
    assert not Reclaimer(tmp_path / "reclaim", 60, 0).due(2, idle=True)


@pytest.mark.parametrize(
    ("now", "worked", "idle", "due"),
    [(61, True, True, True), (59, True, True, False), (61, True, False, False), (61, False, True, False)],
)
def test_every_interval_when_idle_after_work(now: float, worked: bool, idle: bool, due: bool) -> None:  # noqa: FBT001
    reclaimer = Reclaimer(None, 60, 0)
    reclaimer.due(1, idle=not worked)
    assert reclaimer.due(now, idle=idle) is due


def test_nothing_is_looked_up_within_a_second(tmp_path: Path) -> None:
    reclaimer = Reclaimer(tmp_path / "reclaim", 60, 0)
    touch(tmp_path / "reclaim", 5)
    assert not reclaimer.due(0.5, idle=False)
    assert reclaimer.due(1, idle=False)


def test_memory_of_freed_blocks_goes_back() -> None:
    kept = [bytes(2000) for _ in range(40_000)]
    pins = kept[::1000]  # something stays everywhere, so that the heap cannot shrink by itself
    del kept
    assert reclaim.reclaim() > 30 << 20
    assert len(pins) == 40


class Cuda(SimpleNamespace):
    emptied = 0

    def empty_cache(self) -> None:
        self.emptied += 1


@pytest.mark.parametrize(
    ("started", "reserved", "allocated", "emptied"), [(True, 100, 89, 1), (True, 100, 90, 0), (False, 100, 0, 0)]
)
def test_the_gpu_cache_is_emptied_where_it_helps(started: bool, reserved: int, allocated: int, emptied: int) -> None:  # noqa: FBT001
    cuda = Cuda(is_initialized=lambda: started, memory_reserved=lambda: reserved, memory_allocated=lambda: allocated)
    assert reclaim.empty_gpu_cache(SimpleNamespace(cuda=cuda)) is bool(emptied)
    assert cuda.emptied == emptied


def test_without_pytorch_there_is_nothing_to_empty() -> None:
    assert not reclaim.empty_gpu_cache(None)
