"""TLS from a Secret on a real API server: what the operator makes of it, and a gateway that follows it.

The gateway is a real one in this process with exactly the rights of the Role that the operator has made.
"""

import asyncio
import base64
import json
import ssl
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
import yaml
from kubernetes.aio import client
from kubernetes.aio.config import load_kube_config

from autoglm_api import names
from autoglm_gateway.app import Gateway, Settings
from autoglm_gateway.cluster import follow_cluster
from autoglm_localcluster.cluster import Cluster
from support.certificates import NAME, Pair, pair
from support.helm import of_kind, rendered
from support.operators import USER, World, binding_of, namespace_of, refused, service
from support.raw_http import HOST, eventually

pytestmark = [pytest.mark.cluster, pytest.mark.usefixtures("operator")]

SECRET = "shop-tls"
GRANTED = "operator-under-test-with-secrets"


@pytest.fixture(scope="module")
def trusted(crd: Cluster) -> Iterator[Cluster]:
    """The operator may read Secrets, as with `rbac.gatewayKeys`, until this module ends."""
    roles = of_kind(rendered({"rbac": {"gatewayKeys": True}}), "ClusterRole")
    rules = next(one["rules"] for one in roles if one["metadata"]["name"] == "autoglm")
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": GRANTED},
        "rules": rules,
    }
    binding = binding_of("ClusterRoleBinding", USER)
    binding["metadata"] = {"name": GRANTED}
    binding["roleRef"] = {**binding["roleRef"], "name": GRANTED}
    crd.apply(yaml.safe_dump_all([role, binding]))
    yield crd
    crd.kubectl("delete", "clusterrolebinding,clusterrole", GRANTED)


@pytest.fixture
def secure(trusted: Cluster) -> Iterator[World]:
    """A resource that wants TLS, and its children."""
    with namespace_of(trusted) as namespace:
        world = World(trusted, namespace)
        world.apply(with_gateway({"tls": {"secretRef": {"name": SECRET}}, "accessLog": "JSON"}))
        world.until(lambda: world.get("service/shop-gateway") is not None)
        yield world


def with_gateway(settings: dict[str, Any]) -> dict[str, Any]:
    manifest = service()
    manifest["spec"]["gateway"] |= settings
    return manifest


def secret_of(shown: Pair) -> dict[str, Any]:
    data = {name: base64.b64encode(text).decode() for name, text in shown.entries.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": SECRET},
        "data": data,
    }


def port_of(world: World) -> tuple[str, int]:
    (port,) = (world.get("service/shop-gateway") or {})["spec"]["ports"]
    return port["targetPort"], port["port"]


def container_of(world: World) -> dict[str, Any]:
    (container,) = (world.get("deployment/shop-gateway") or {})["spec"]["template"]["spec"]["containers"]
    return dict(container)


def test_service_pods_and_url_say_https_and_go_back(secure: World) -> None:
    secure.until(lambda: secure.status().get("url") == f"https://shop-gateway.{secure.namespace}.svc")
    assert port_of(secure) == ("https", 443)
    assert "--tls" in container_of(secure)["args"]
    secrets = [rule for rule in (secure.get("role/shop-gateway") or {})["rules"] if rule["resources"] == ["secrets"]]
    assert [rule["resourceNames"] for rule in secrets] == [[SECRET]]
    secure.apply(service())
    secure.patch(f"{names.CRD_NAME}/shop", {"spec": {"gateway": {"tls": None}}})
    secure.until(lambda: port_of(secure) == ("http", 80))
    secure.until(lambda: "--tls" not in container_of(secure)["args"])
    assert {one["name"] for one in container_of(secure)["ports"]} >= {"http", "admin"}
    assert "https" not in {one["name"] for one in container_of(secure)["ports"]}
    secure.until(lambda: secure.status()["url"].startswith("http://"))


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"tls": {}}, "secretRef"),
        ({"tls": {"secretRef": {"name": "Shop_TLS"}}}, "tls.secretRef.name"),
        ({"tls": {"secretRef": {"name": "a", "key": "b"}}}, "key"),
        ({"accessLog": "Everything"}, "accessLog"),
    ],
)
def test_what_cannot_be_meant_is_refused(world: World, settings: dict[str, Any], told: str) -> None:
    assert told in refused(lambda: world.apply(with_gateway(settings)))


async def test_the_secret_is_followed_with_the_rights_of_the_role(secure: World) -> None:
    until = partial(eventually, seconds=30)
    user = f"system:serviceaccount:{secure.namespace}:shop-gateway"
    kubeconfig = await asyncio.to_thread(secure.cluster.kubeconfig_for, user)

    async def access(configuration: client.Configuration) -> None:
        await load_kube_config(config_file=str(kubeconfig), client_configuration=configuration)

    source = partial(
        follow_cluster,
        namespace=secure.namespace,
        deployment="shop",
        config_map=names.gateway_name("shop"),
        load_access=access,
    )
    gateway = Gateway(Settings(host=HOST, port=0, admin_port=0, tls=True), source)
    port, _ = await gateway.start()
    try:
        await until(lambda: "no such Secret" in (gateway._certificates.problem or ""))
        # Endpoints come by a watch of their own, before it or after it.
        await until(lambda: gateway._ready() == (False, f"no {gateway._certificates.problem} yet"))
        first, second = pair(), pair(rsa_bits=2048)
        for shown in (first, second):
            await asyncio.to_thread(secure.apply, secret_of(shown))
            await until(partial(trusts, port, shown))
        await asyncio.to_thread(secure.kubectl, "delete", "secret", SECRET)
        await until(lambda: gateway._certificates.problem is not None)
        assert await trusts(port, second), "the last good one stays"
        assert gateway._ready()[0]
    finally:
        await gateway.stop()
        await asyncio.sleep(0.25)  # aiohttp closes connections over TLS a moment after its session


async def trusts(port: int, shown: Pair) -> bool:
    """Whether a client that trusts only this certificate gets a connection."""
    try:
        _, writer = await asyncio.open_connection(HOST, port, ssl=shown.trusting(), server_hostname=NAME)
    except (ssl.SSLError, ConnectionResetError):
        return False
    writer.close()
    return True


def test_the_configuration_that_gateways_read_names_it(secure: World) -> None:
    config = json.loads((secure.get("configmap/shop-gateway") or {})["data"][names.GATEWAY_CONFIG_KEY])
    assert (config["tls"], config["accessLog"]) == ({"secretRef": {"name": SECRET}}, "JSON")
