"""Long-running programs, tracked by pid file, so that any later run can find and stop them.

A pid file holds the pid and the process's start time: after a crash or a reboot the pid may belong to somebody else,
and somebody else's process is never signalled.
"""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psutil

from autoglm_localcluster.paths import RunDir

_CREATE_TIME_TOLERANCE_SECONDS = 1.0
_LOG_TAIL_LINES = 15


class ServerDiedError(RuntimeError):
    """A program ended although it should keep running; the message has the end of its log."""


@dataclass(frozen=True)
class Program:
    """How to start one program: its name in our files, its command line and its environment additions."""

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)


# They are meant to outlive this process; Python would warn of a running child that it may forget.
_started: Final[list[subprocess.Popen[bytes]]] = []


def start(run: RunDir, program: Program) -> None:
    """Start the program detached, unless it runs already; its output goes to `logs/<name>.log`."""
    if find(run, program.name) is not None:
        return
    with (run.logs / f"{program.name}.log").open("ab") as log:
        child = subprocess.Popen(
            program.argv,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **program.env},
            start_new_session=True,
        )
    _started.append(child)
    _remember(run, program.name, psutil.Process(child.pid))


def find(run: RunDir, name: str) -> psutil.Process | None:
    """Return the running process of that name, or None when it has ended."""
    try:
        record = json.loads(_pid_file(run, name).read_text())
        process = psutil.Process(record["pid"])
        same = abs(process.create_time() - record["created"]) < _CREATE_TIME_TOLERANCE_SECONDS
        return process if same and process.status() != psutil.STATUS_ZOMBIE else None
    except (FileNotFoundError, psutil.NoSuchProcess):
        return None


def names(run: RunDir) -> list[str]:
    """Names of all programs that were started in this run directory, running or not."""
    return sorted(file.stem for file in run.pids.glob("*.pid"))


def check(run: RunDir, name: str) -> None:
    """Raise `ServerDiedError` unless the program runs."""
    if find(run, name) is None:
        raise ServerDiedError(f"{name} has ended; its log says:\n{tail(run, name)}")


def stop(run: RunDir, names: Sequence[str], *, grace_seconds: float = 1.0) -> None:
    """Ask all these programs to end, kill those that have not ended after the grace period, forget their pid files."""
    running = [process for process in (find(run, name) for name in names) if process is not None]
    end(running, grace_seconds=grace_seconds)
    for name in names:
        _pid_file(run, name).unlink(missing_ok=True)
    _started[:] = [child for child in _started if child.poll() is None]


def end(running: Sequence[psutil.Process], *, grace_seconds: float) -> None:
    """Terminate processes, with SIGKILL for those that need longer than the grace period."""
    for process in running:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
    _, alive = psutil.wait_procs(running, timeout=grace_seconds)
    for process in alive:
        kill(process)
    psutil.wait_procs(alive, timeout=grace_seconds)


def kill(process: psutil.Process) -> None:
    """Kill one process; a process that has ended already is fine."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


def tail(run: RunDir, name: str) -> str:
    """Last lines of a program's log."""
    log = run.logs / f"{name}.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_TAIL_LINES:]) if log.exists() else ""


def attempts(timeout_seconds: float, *, pause_seconds: float = 0.1) -> Iterator[None]:
    """Yield once per attempt until the time is over; the caller returns from its loop when it has succeeded."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(pause_seconds)


def _pid_file(run: RunDir, name: str) -> Path:
    return run.pids / f"{name}.pid"


def _remember(run: RunDir, name: str, process: psutil.Process) -> None:
    record = {"pid": process.pid, "created": process.create_time()}
    _pid_file(run, name).write_text(json.dumps(record))
