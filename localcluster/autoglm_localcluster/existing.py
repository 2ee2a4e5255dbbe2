"""A cluster that somebody else runs: we talk to it through the user's current context and never add nodes to it."""

import subprocess
from typing import Final

from autoglm_localcluster import toolchain
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.narrate import say
from autoglm_localcluster.paths import RunDir

PROVIDER: Final = "existing"


def up(run: RunDir) -> Cluster:
    """Record the user's current context under the run directory and check that it answers.

    Raises:
        KubectlError: the cluster does not answer.
    """
    toolchain.announce(toolchain.CLIENT_TOOLS)
    toolchain.ensure(toolchain.CLIENT_TOOLS)
    run.create()
    run.kubeconfig.touch(mode=0o600)
    run.kubeconfig.write_text(_current_context())
    bare = Cluster(run.name, PROVIDER, run.kubeconfig, "", run.root, has_node=True)
    server = bare.kubectl("config", "view", "--minify", "-o", "jsonpath={.clusters[0].cluster.server}")
    bare.kubectl("version")
    cluster = Cluster(run.name, PROVIDER, run.kubeconfig, server, run.root, has_node=True)
    cluster.save()
    say(f"using {server}; images and Prometheus must be there already, no fake nodes are added")
    return cluster


def _current_context() -> str:
    command = [str(toolchain.KUBECTL.path), "config", "view", "--raw", "--minify", "--flatten"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout
