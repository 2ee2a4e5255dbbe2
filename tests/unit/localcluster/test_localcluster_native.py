import os
from pathlib import Path

import pytest

from autoglm_localcluster import native, sources

GROUP = "0123__mypyc.cpython-311-x86_64-linux-gnu.so"
RELAY = "autoglm_gateway/relay.cpython-311-x86_64-linux-gnu.so"
SERVER = "autoglm_transport/server.cpython-311-x86_64-linux-gnu.so"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a compilation leaves."""
    for name in (GROUP, RELAY, SERVER, "autoglm_gateway/relay.py"):
        (tmp_path / "built" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "built" / name).write_text(name)
    monkeypatch.setattr(native, "folder", lambda: tmp_path / "built")
    return tmp_path / "built"


@pytest.fixture
def sources_together(tmp_path: Path) -> Path:
    for package in sources.package_folders(native.PACKAGES):
        (tmp_path / package.name).symlink_to(package)
    return tmp_path


def test_what_no_query_passes_through_is_left_alone(sources_together: Path) -> None:
    compiled = set(native.modules(sources_together))
    assert {"autoglm_gateway/relay.py", "autoglm_gateway/cache/key.py", "autoglm_transport/reading.py"} <= compiled
    assert not {name for name in compiled if name.endswith("__init__.py") or name.startswith("autoglm_api/")}
    assert compiled.isdisjoint(native.INTERPRETED)


def test_every_module_that_is_left_alone_is_there(sources_together: Path) -> None:
    assert [name for name in native.INTERPRETED if not (sources_together / name).is_file()] == []


def test_an_image_gets_the_objects_of_its_packages_and_the_one_they_share(built: Path, tmp_path: Path) -> None:
    (tmp_path / "app" / "autoglm_transport").mkdir(parents=True)
    native.add_to(["autoglm_api", "autoglm_transport"], tmp_path / "app")
    copied = sorted(str(path.relative_to(tmp_path / "app")) for path in (tmp_path / "app").rglob("*.so"))
    assert copied == [GROUP, SERVER]


@pytest.mark.parametrize(("value", "wanted"), [(None, True), ("1", True), ("0", False)])
def test_an_image_without_compiled_code_can_be_had(
    value: str | None, *, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(native.ENV_NATIVE, raising=False)
    if value is not None:
        monkeypatch.setenv(native.ENV_NATIVE, value)
    assert native.is_wanted() is wanted


def test_the_cache_does_not_grow_for_ever(tmp_path: Path) -> None:
    for age in range(9):
        (tmp_path / str(age)).mkdir()
        os.utime(tmp_path / str(age), (1000 - age, 1000 - age))
    native.forget_old(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1", "2", "3", "4", "5"]
