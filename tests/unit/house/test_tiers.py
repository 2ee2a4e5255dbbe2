import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tiers() -> ModuleType:
    spec = importlib.util.spec_from_file_location("tiers", ROOT / "tests" / "tiers.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # dataclasses look their module up by name
    import sys  # noqa: PLC0415

    sys.modules["tiers"] = module
    spec.loader.exec_module(module)
    return module


def test_counts_come_from_every_suite_of_the_report(tiers: ModuleType, tmp_path: Path) -> None:
    report = tmp_path / "r.xml"
    report.write_text(
        '<testsuites><testsuite tests="5" failures="1" errors="1" skipped="1"/>'
        '<testsuite tests="2" failures="0" errors="0" skipped="0"/></testsuites>'
    )
    assert str(tiers.counts_of(report)) == "4 passed, 2 failed, 1 skipped"


def test_a_runner_that_died_counts_as_a_failure(tiers: ModuleType, tmp_path: Path) -> None:
    assert str(tiers.counts_of(tmp_path / "absent.xml")) == "0 passed, 1 failed"


def test_every_tier_folder_is_known(tiers: ModuleType) -> None:
    folders = {path.name for path in (ROOT / "tests").iterdir() if path.is_dir() and any(path.rglob("test_*.py"))}
    assert folders <= set(tiers.TIERS)


def test_no_init_file_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
