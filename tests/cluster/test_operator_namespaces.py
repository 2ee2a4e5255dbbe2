"""An operator that was given one namespace needs no right in any other and touches none."""

import pytest

from autoglm_api import names
from support.operators import (
    REPAIR_SECONDS,
    START_SECONDS,
    World,
    binding_of,
    eventually,
    namespace_of,
    running_operator,
    service,
    start_operator,
)

pytestmark = pytest.mark.cluster

USER = "operator-of-one-namespace"
READY_SECONDS = 40.0


def test_an_operator_of_one_namespace(world: World) -> None:
    world.apply(binding_of("RoleBinding", USER))
    with namespace_of(world.cluster) as elsewhere:
        other = World(world.cluster, elsewhere)
        settings = {names.ENV_WATCH_NAMESPACES: world.namespace}
        with running_operator(world.cluster, user=USER, **settings) as operator:
            for one in (other, world):
                one.apply(service())
            world.until(world.is_ready, READY_SECONDS)
            world.kubectl("delete", "service", "shop-gateway")
            world.until(lambda: "Service/shop-gateway" in world.children(), REPAIR_SECONDS)
            assert (other.children(), other.status()) == (set(), {})
            assert operator.stop() == 0


def test_missing_rights_are_named_before_anything_is_watched(world: World) -> None:
    operator = start_operator(world.cluster, user="nobody-in-particular")
    try:
        eventually(
            lambda: "the operator may not list" in operator.log.read_text(), START_SECONDS, operator.log.read_text
        )
        assert "give its service account the chart's role" in operator.log.read_text()
        assert operator.process.poll() is None
    finally:
        operator.kill()
