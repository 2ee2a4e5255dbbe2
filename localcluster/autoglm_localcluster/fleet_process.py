"""Runs the fleet (simulated replicas) in its own network namespace, which owns the addresses of all fake pods."""

import sys
from typing import Final

from autoglm_localcluster import layout, network, processes
from autoglm_localcluster.paths import RunDir
from autoglm_localcluster.processes import Program

FLEET: Final = "fleet"


def start(run: RunDir) -> None:
    """Start the fleet unless it runs."""
    if processes.find(run, FLEET) is not None:
        return
    network.prepare_fleet_namespace()
    command = ("ip", "netns", "exec", layout.FLEET_NAMESPACE, sys.executable, "-m", "autoglm_localcluster.fleet")
    processes.start(run, Program(FLEET, command))
