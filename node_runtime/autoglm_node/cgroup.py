"""How much memory the container may use and does use, from the kernel's control groups, version 1 or 2."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path("/sys/fs/cgroup")
OWN: Final = Path("/proc/self/cgroup")


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in use without files that the kernel can drop, the limit (None: there is none), processes killed."""

    used_bytes: int
    limit_bytes: int | None
    oom_kills: int

    @property
    def share(self) -> float | None:
        """Return the share of the limit in use; None without a limit."""
        return self.used_bytes / self.limit_bytes if self.limit_bytes else None


@dataclass(frozen=True, slots=True)
class _Files:
    """What one version calls things: files, and names inside them."""

    used: str
    reclaimable: str
    kills: str


_V1: Final = _Files("memory.usage_in_bytes", "total_inactive_file", "memory.oom_control")
_V2: Final = _Files("memory.current", "inactive_file", "memory.events")


class Cgroup:
    """One control group."""

    def __init__(self, directory: Path, files: _Files) -> None:
        self.directory = directory
        self._files = files

    def memory(self) -> Memory | None:
        """Return what the kernel says now; None when it says nothing that can be read."""
        try:
            statistics = _pairs(self.directory / "memory.stat")
            used = int((self.directory / self._files.used).read_text()) - statistics.get(self._files.reclaimable, 0)
            kills = _pairs(self.directory / self._files.kills).get("oom_kill", 0)
            return Memory(max(0, used), _real_limit(self._limit(statistics)), kills)
        except (OSError, ValueError):
            return None

    def _limit(self, statistics: dict[str, int]) -> int | None:
        if self._files is _V1:
            return statistics.get("hierarchical_memory_limit")
        text = (self.directory / "memory.max").read_text().strip()
        return None if text == "max" else int(text)


def find(root: Path = ROOT, own: Path = OWN) -> Cgroup | None:
    """Return the control group that limits this process, or None when there is none to be seen.

    A container sees its own group at the root of the mount, whatever path /proc says; outside, the path holds.
    """
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return None
    for directory, files in _candidates(root, lines):
        if (directory / files.used).is_file():
            return Cgroup(directory, files)
    return None


def _candidates(root: Path, lines: list[str]) -> Iterator[tuple[Path, _Files]]:
    for line in lines:
        _, controllers, path = line.split(":", 2)
        below = path.lstrip("/")
        if "memory" in controllers.split(","):
            yield root / "memory" / below, _V1
            yield root / "memory", _V1
        elif not controllers:
            yield root / below, _V2
            yield root, _V2


def _real_limit(limit: int | None) -> int | None:
    """Return the limit unless it is more than the machine has, which is how version 1 writes none."""
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return limit if limit is not None and 0 < limit <= machine else None


def _pairs(file: Path) -> dict[str, int]:
    """Return a file of lines `name number`."""
    split = (line.split() for line in file.read_text().splitlines())
    return {words[0]: int(words[1]) for words in split if len(words) == 2}  # noqa: PLR2004 - a name and a number
