from pathlib import Path

import pytest

from autoglm_node import cgroup
from autoglm_node.cgroup import Memory

MIB = 1 << 20
V1 = "12:cpu,cpuacct:/kubepods/pod1/c1\n4:memory:/kubepods/pod1/c1\n0::/\n"
V2 = "0::/\n"


def write(directory: Path, **files: str) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (directory / name.replace("__", ".")).write_text(text)


def v1(directory: Path, limit: int) -> None:
    statistics = f"cache 5\ntotal_inactive_file {20 * MIB}\nhierarchical_memory_limit {limit}\n"
    killed = "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    write(directory, memory__usage_in_bytes=f"{120 * MIB}\n", memory__stat=statistics, memory__oom_control=killed)


def v2(directory: Path, limit: str) -> None:
    write(
        directory,
        memory__current=f"{120 * MIB}\n",
        memory__stat=f"anon 7\ninactive_file {20 * MIB}\n",
        memory__events="low 0\noom 3\noom_kill 2\n",
        memory__max=f"{limit}\n",
    )


def reading(root: Path, own: str) -> Memory | None:
    (root / "own").write_text(own)
    found = cgroup.find(root, root / "own")
    return found.memory() if found else None


@pytest.mark.parametrize("inside", ["memory/kubepods/pod1/c1", "memory"])
def test_version_1_on_the_host_and_in_a_container(tmp_path: Path, inside: str) -> None:
    v1(tmp_path / inside, 400 * MIB)
    found = reading(tmp_path, V1)
    assert found == Memory(100 * MIB, 400 * MIB, 2)
    assert found.share == 0.25


@pytest.mark.parametrize(("own", "inside"), [(V2, "."), ("0::/kubepods/c1\n", "kubepods/c1")])
def test_version_2(tmp_path: Path, own: str, inside: str) -> None:
    v2(tmp_path / inside, str(200 * MIB))
    assert reading(tmp_path, own) == Memory(100 * MIB, 200 * MIB, 2)


def test_no_limit_is_none_in_both_versions(tmp_path: Path) -> None:
    v1(tmp_path / "one" / "memory", 9223372036854771712)
    v2(tmp_path / "two", "max")
    for found in (reading(tmp_path / "one", V1), reading(tmp_path / "two", V2)):
        assert found is not None
        assert (found.limit_bytes, found.share) == (None, None)


def test_what_cannot_be_read_is_absent(tmp_path: Path) -> None:
    assert reading(tmp_path, V1 + V2) is None
    assert cgroup.find(tmp_path, tmp_path / "nowhere") is None
    write(tmp_path, memory__current="much\n", memory__stat="")
    assert reading(tmp_path, V2) is None


def test_the_kernel_of_this_machine_is_understood() -> None:
    found = cgroup.find()
    if found is None:
        pytest.skip("this machine shows no control group with memory")
    memory = found.memory()
    assert memory is not None
    assert memory.used_bytes > MIB
