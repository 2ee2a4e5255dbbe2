"""A real memory control group of the kernel, version 1 or 2, below our own; needs root."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import psutil

from autoglm_node import cgroup

Made = TypeVar("Made")


class ControlGroup:
    """A group with a limit."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self.directory = directory
        self.limit_bytes = limit_bytes
        directory.mkdir()
        limit = "memory.max" if (directory / "memory.max").exists() else "memory.limit_in_bytes"
        (directory / limit).write_text(str(limit_bytes))

    def inside(self, make: Callable[[], Made]) -> Made:
        """Do something, such as starting a process, as a member of the group."""
        outside = self.directory.parent
        (self.directory / "cgroup.procs").write_text(str(os.getpid()))
        try:
            return make()
        finally:
            (outside / "cgroup.procs").write_text(str(os.getpid()))

    def remove(self) -> None:
        """Remove the group, with whatever still runs in it."""
        for pid in (self.directory / "cgroup.procs").read_text().split():
            process = psutil.Process(int(pid))
            process.kill()
            process.wait(10)
        self.directory.rmdir()


@contextmanager
def control_group(name: str, limit_bytes: int) -> Iterator[ControlGroup | None]:
    """Make a group below ours and remove it at the end; None where the kernel or our rights do not allow one."""
    own = cgroup.find()
    directory = None if own is None else own.directory / f"{name}-{os.getpid()}"
    try:
        group = None if directory is None else ControlGroup(directory, limit_bytes)
    except OSError:
        group = None
    try:
        yield group
    finally:
        if group is not None:
            group.remove()
        elif directory is not None and directory.exists():
            directory.rmdir()
