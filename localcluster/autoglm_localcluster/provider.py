"""Chooses how a cluster is run: directly on this machine, by kind, or not at all because one is there already."""

import os
import shutil
from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

from autoglm_localcluster import existing, host, kind, local
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.exclusive import exclusive
from autoglm_localcluster.host import Host
from autoglm_localcluster.narrate import say
from autoglm_localcluster.paths import RunDir

CHOICE_VARIABLE = "AUTOGLM_CLUSTER"


class Provider(StrEnum):
    """How a cluster is run; the values are those of `AUTOGLM_CLUSTER`."""

    LOCAL = "local"
    KIND = "kind"
    EXISTING = "existing"


class ChoiceError(ValueError):
    """`AUTOGLM_CLUSTER` names no provider."""


def choose(machine: Host, environment: Mapping[str, str]) -> Provider:
    """Return the provider that the user forces, else kind where Docker runs, else the machine itself.

    Raises:
        ChoiceError: the forced value is unknown.
    """
    forced = environment.get(CHOICE_VARIABLE)
    if not forced:
        return Provider.KIND if machine.has_docker_engine else Provider.LOCAL
    try:
        return Provider(forced)
    except ValueError:
        allowed = ", ".join(Provider)
        raise ChoiceError(f"{CHOICE_VARIABLE}={forced} is not one of: {allowed}") from None


def up(name: str = "demo", *, node: bool = True, fake_nodes: int = 0) -> Cluster:
    """Start the cluster of this name, or bring the running one up to date (images, fake nodes, Prometheus).

    Where a real node is not possible, the control plane with fake nodes runs, and it is said so: look at
    `Cluster.has_node`.

    Args:
        name: one run directory per name.
        node: run a real node, with our images, the fleet and Prometheus.
        fake_nodes: how many fake GPU nodes the cluster has.
    """
    with exclusive("clusters"):
        return _up(RunDir.named(name), host.look(), node=node, fake_nodes=fake_nodes)


def _up(run: RunDir, machine: Host, *, node: bool, fake_nodes: int) -> Cluster:
    match choose(machine, os.environ):
        case Provider.KIND:
            return kind.up(run, fake_nodes=fake_nodes)
        case Provider.EXISTING:
            return existing.up(run)
        case Provider.LOCAL:
            if node and not machine.can_run_node:
                say(f"[yellow]{machine.why_no_node()}: only the control plane and fake nodes run[/yellow]")
            return local.up(run, machine, with_node=node and machine.can_run_node, fake_nodes=fake_nodes)
        case never:
            assert_never(never)


def down(name: str = "demo") -> None:
    """Stop the cluster of this name and leave nothing behind; a cluster of somebody else is only forgotten."""
    with exclusive("clusters"):
        _down(RunDir.named(name))


def _down(run: RunDir) -> None:
    cluster = Cluster.load(run)
    if cluster is not None and cluster.provider == kind.PROVIDER:
        kind.down(run)
    if cluster is None or cluster.provider == local.PROVIDER:
        local.down(run)
    shutil.rmtree(run.root, ignore_errors=True)
