import json
import sys
from pathlib import Path

import psutil
import pytest

from autoglm_localcluster import ports, processes
from autoglm_localcluster.paths import RunDir
from autoglm_localcluster.processes import Program, ServerDiedError

SLEEPER = Program("sleeper", (sys.executable, "-c", "import time; time.sleep(60)"))
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    run = RunDir(tmp_path / "run")
    run.create()
    return run


def test_started_program_is_found_until_it_is_stopped(run: RunDir) -> None:
    processes.start(run, SLEEPER)
    found = processes.find(run, "sleeper")
    assert found is not None
    assert processes.names(run) == ["sleeper"]
    processes.stop(run, ["sleeper"])
    assert processes.find(run, "sleeper") is None
    assert not psutil.pid_exists(found.pid) or found.status() == psutil.STATUS_ZOMBIE


def test_starting_twice_starts_one(run: RunDir) -> None:
    processes.start(run, SLEEPER)
    first = processes.find(run, "sleeper")
    processes.start(run, SLEEPER)
    assert processes.find(run, "sleeper") == first
    processes.stop(run, ["sleeper"])


def test_program_that_ignores_the_request_is_killed(run: RunDir) -> None:
    processes.start(run, Program("stubborn", (sys.executable, "-c", STUBBORN)))
    for _ in processes.attempts(5, pause_seconds=0.02):
        if processes.tail(run, "stubborn"):
            break
    processes.stop(run, ["stubborn"], grace_seconds=0.1)
    assert processes.find(run, "stubborn") is None


def test_somebody_elses_process_with_our_old_pid_is_not_ours(run: RunDir) -> None:
    with psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as stranger:
        record = {"pid": stranger.pid, "created": stranger.create_time() - 100}
        (run.pids / "old.pid").write_text(json.dumps(record))
        assert processes.find(run, "old") is None
        processes.stop(run, ["old"])
        assert stranger.is_running()
        stranger.kill()


def test_death_is_told_with_the_end_of_the_log(run: RunDir) -> None:
    processes.start(run, Program("liar", (sys.executable, "-c", "raise SystemExit('port is taken')")))
    for _ in processes.attempts(5, pause_seconds=0.02):
        if processes.find(run, "liar") is None:
            break
    with pytest.raises(ServerDiedError, match="port is taken"):
        processes.check(run, "liar")
    processes.stop(run, ["liar"])


def test_free_port_is_below_the_ephemeral_range() -> None:
    assert 20_000 <= ports.free_port() < 32_768
