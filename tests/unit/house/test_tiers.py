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


@pytest.mark.parametrize("count", [1, 2, 3, 16])
@pytest.mark.parametrize("tier", ["unit", "property"])
def test_every_test_file_is_run_once_however_many_processes_there_are(tiers: ModuleType, tier: str, count: int) -> None:
    folder = ROOT / "tests" / tier
    groups = tiers.shards(folder, count)
    assert sorted(path for group in groups for path in group) == sorted(map(str, folder.rglob("test_*.py")))
    assert len(groups) <= count


def test_processes_have_about_the_same_to_do(tiers: ModuleType, tmp_path: Path) -> None:
    for name, size in {"a/test_1.py": 900, "a/test_2.py": 900, "b/test_1.py": 500, "c/test_1.py": 100}.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("#" * size)
    groups = [[str(Path(path).relative_to(tmp_path)) for path in group] for group in tiers.shards(tmp_path, 2)]
    assert sorted(map(sorted, groups)) == [["a/test_1.py", "b/test_1.py"], ["a/test_2.py", "c/test_1.py"]]


def test_no_init_file_shadows_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()
