"""Runs the fleet (simulated replicas) in its own network namespace, which owns the addresses of all fake pods."""

import os
import sys
from typing import Final

from autoglm_localcluster import fingerprint, layout, network, processes
from autoglm_localcluster.fleet.profile import PROFILES_VARIABLE
from autoglm_localcluster.paths import LOCALCLUSTER, REPOSITORY, RunDir
from autoglm_localcluster.processes import Program

FLEET: Final = "fleet"
_SOURCES: Final = (LOCALCLUSTER / "autoglm_localcluster" / "fleet", REPOSITORY / "transport" / "autoglm_transport")


def start(run: RunDir) -> None:
    """Start the fleet; one that runs already is kept unless its code or its profiles have changed."""
    key = fingerprint.of(_SOURCES, os.environ.get(PROFILES_VARIABLE, ""))
    memory = run.config / "fleet.key"
    if processes.find(run, FLEET) is not None and memory.exists() and memory.read_text() == key:
        return
    processes.stop(run, (FLEET,))
    network.prepare_fleet_namespace()
    command = ("ip", "netns", "exec", layout.FLEET_NAMESPACE, sys.executable, "-m", "autoglm_localcluster.fleet")
    processes.start(run, Program(FLEET, command))
    memory.write_text(key)
