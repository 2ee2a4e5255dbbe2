"""What an operator that stops, dies or is away leaves behind: the same world as one that never did."""

import subprocess
import time

import pytest

from autoglm_api import names
from autoglm_localcluster import processes, servers, toolchain
from autoglm_localcluster.cluster import KubectlError
from autoglm_localcluster.paths import RunDir
from autoglm_localcluster.processes import Program
from support.operators import CHILD_KINDS, START_SECONDS, World, eventually, running_operator, service, start_operator

pytestmark = pytest.mark.cluster

READY_SECONDS = 40.0
OUTAGE_SECONDS = 12.0
RECOVERY_SECONDS = 60.0


def _kill_at_first(world: World, kind: str) -> None:
    """Run an operator and kill it as soon as it has created the first object of a kind."""
    operator = start_operator(world.cluster)
    try:
        operator.wait_until_ready()
        kubectl = [str(toolchain.KUBECTL.path), "--kubeconfig", str(world.cluster.kubeconfig), "-n", world.namespace]
        selector = f"{names.LABEL_MANAGED_BY}={names.MANAGED_BY}"
        with subprocess.Popen(
            [*kubectl, "get", kind, "-l", selector, "--watch", "-o", "name"], stdout=subprocess.PIPE
        ) as watch:
            world.apply(service(light=2))
            assert watch.stdout is not None
            watch.stdout.readline()
            operator.kill()
            watch.kill()
    finally:
        operator.kill()


def test_killed_in_mid_creation_it_converges_to_the_same_world(world: World) -> None:
    for kind in ("configmap", "service", "deployment"):
        _kill_at_first(world, kind)
        with running_operator(world.cluster):
            world.until(world.is_ready, READY_SECONDS)
            assert len(world.children()) == 15
            assert (len(world.pods("light")), len(world.pods("large"))) == (2, 1)
            world.kubectl("delete", names.CRD_NAME, "shop")
            world.until(lambda: not world.children(), READY_SECONDS)


def _versions(world: World) -> dict[str, str]:
    """What any write to a child would change, but for what the scaling engine remembers."""
    memory = names.scaling_state_name("shop")
    found = [one["metadata"] for one in world.find(CHILD_KINDS) if one["metadata"]["name"] != memory]
    return {one["uid"]: one["resourceVersion"] for one in found}


def test_a_restarted_operator_changes_nothing(world: World) -> None:
    with running_operator(world.cluster) as first:
        world.apply(service())
        world.until(world.is_ready, READY_SECONDS)
        assert first.stop() == 0
    before = _versions(world)
    with running_operator(world.cluster) as second:
        world.until(lambda: second.metric(names.METRIC_OPERATOR_RECONCILES) >= 1)
        time.sleep(2)
    assert _versions(world) == before


def test_a_restart_holds_a_size_above_the_minimum(world: World) -> None:
    with running_operator(world.cluster):
        world.apply(service(light=3))
        world.until(world.is_ready, READY_SECONDS)
    world.apply(service(light=1))
    with running_operator(world.cluster) as second:
        world.until(lambda: second.metric(names.METRIC_OPERATOR_RECONCILES) >= 1)
        world.until(world.is_ready)
        assert world.status()["light"] == "3/3"


def test_deletion_needs_no_operator(world: World) -> None:
    with running_operator(world.cluster):
        world.apply(service())
        world.until(world.is_ready, READY_SECONDS)
    world.kubectl("delete", names.CRD_NAME, "shop", "--wait=true")
    everything = "deployments,services,configmaps,serviceaccounts,roles,rolebindings,poddisruptionbudgets,pods"
    world.until(lambda: not world.find(everything), READY_SECONDS)


def test_a_resource_that_was_replaced_meanwhile_gets_children_of_its_own(world: World) -> None:
    with running_operator(world.cluster):
        world.apply(service())
        world.until(world.is_ready, READY_SECONDS)
    world.kubectl("delete", names.CRD_NAME, "shop", "--cascade=orphan")
    world.apply(service())
    with running_operator(world.cluster):
        world.until(lambda: world.condition("Ready").get("reason") == "NameConflict")


def test_it_waits_for_the_resource_definition_and_then_works(world: World) -> None:
    crd = world.cluster.kubectl("get", "crd", names.CRD_NAME, "-o", "yaml")
    world.cluster.kubectl("delete", "crd", names.CRD_NAME)
    operator = start_operator(world.cluster)
    try:
        eventually(lambda: "install the CRD" in operator.log.read_text(), START_SECONDS, operator.log.read_text)
        world.cluster.kubectl("create", "-f", "-", stdin=crd)
        operator.wait_until_ready()
        world.apply(service())
        world.until(world.is_ready, READY_SECONDS)
    finally:
        operator.kill()


def test_it_outlives_the_api_server(world: World) -> None:
    run = world.cluster.run
    with running_operator(world.cluster) as operator:
        world.apply(service())
        world.until(world.is_ready, READY_SECONDS)
        _restart_api_server(world, run)
        world.kubectl("delete", "service", "shop-gateway")
        world.until(lambda: "Service/shop-gateway" in world.children(), RECOVERY_SECONDS)
        assert operator.process.poll() is None


def _restart_api_server(world: World, run: RunDir) -> None:
    server = processes.find(run, servers.APISERVER)
    assert server is not None
    program = Program(servers.APISERVER, tuple(server.cmdline()))
    server.kill()
    processes.stop(run, (servers.APISERVER,))
    time.sleep(OUTAGE_SECONDS)
    processes.start(run, program)
    eventually(lambda: _answers(world), RECOVERY_SECONDS, lambda: "the API server did not come back")


def _answers(world: World) -> bool:
    try:
        return bool(world.kubectl("get", "deployments", "-o", "name"))
    except KubectlError:
        return False
