import ipaddress
from pathlib import Path

import pytest
import yaml

from autoglm_localcluster import layout, node_config, pip, prometheus, servers
from autoglm_localcluster.host import Host
from autoglm_localcluster.layout import Endpoints
from autoglm_localcluster.paths import MANIFESTS, RunDir

RUN = RunDir(Path("/run/x"))
KUBE = Path("/tools/kube")
MODERN = Host(is_linux=True, is_root=True, has_cgroup_v2=True, may_raise_limits=True, has_docker_engine=False)
CONFINED = Host(is_linux=True, is_root=True, has_cgroup_v2=False, may_raise_limits=False, has_docker_engine=False)


def apiserver_flags(host: str) -> list[str]:
    return list(servers.apiserver(KUBE, RUN, Endpoints(host, 6443, 1, 2)).argv)


def test_apiserver_authorizes_by_rbac_and_keeps_an_audit_log() -> None:
    flags = apiserver_flags("127.0.0.1")
    assert flags[:2] == ["/tools/kube", "kube-apiserver"]
    assert "--authorization-mode=Node,RBAC" in flags
    assert f"--audit-log-path={RUN.audit_log}" in flags


@pytest.mark.parametrize(("host", "published"), [("127.0.0.1", False), (layout.NODE_ADDRESS, True)])
def test_only_a_reachable_apiserver_publishes_its_endpoint(host: str, *, published: bool) -> None:
    assert ("--endpoint-reconciler-type=none" not in apiserver_flags(host)) is published


def test_etcd_asks_everybody_for_a_certificate() -> None:
    flags = servers.etcd(KUBE, RUN, Endpoints("127.0.0.1", 1, 2379, 2380)).argv
    assert "--client-cert-auth=true" in flags
    assert "--peer-client-cert-auth=true" in flags
    assert not [flag for flag in flags if "http://" in flag]


def test_audit_policy_keeps_what_accounts_write_and_drops_the_control_plane() -> None:
    rules = yaml.safe_load(servers.audit_policy())["rules"]
    full = next(rule for rule in rules if rule["level"] == "RequestResponse")
    dropped = next(rule for rule in rules if "kwok" in rule.get("users", []))
    assert "system:serviceaccounts" in full["userGroups"]
    assert dropped["level"] == "None"
    assert rules.index(dropped) < rules.index(full)


@pytest.mark.parametrize(("host", "restricted"), [(MODERN, "false"), (CONFINED, "true")])
def test_oom_scores_are_restricted_where_they_may_not_be_lowered(host: Host, restricted: str) -> None:
    assert f"restrict_oom_score_adj = {restricted}" in node_config.containerd(RUN, host, runc="/usr/sbin/runc")


def test_old_cgroups_are_tolerated_only_where_they_are() -> None:
    old, new = (yaml.safe_load(node_config.kubelet(RUN, host)) for host in (CONFINED, MODERN))
    assert old["failCgroupV1"] is False
    assert old["cgroupsPerQOS"] is False
    assert "failCgroupV1" not in new
    assert "cgroupsPerQOS" not in new


def test_kubelet_asks_for_credentials() -> None:
    config = yaml.safe_load(node_config.kubelet(RUN, MODERN))
    assert config["authentication"]["anonymous"] == {"enabled": False}
    assert config["readOnlyPort"] == 0


def test_pods_have_no_way_out_of_the_machine() -> None:
    config = yaml.safe_load(node_config.cni(RUN))
    assert config["plugins"][0]["ipMasq"] is False


def test_network_ranges_do_not_overlap() -> None:
    ranges = [ipaddress.ip_network(text) for text in (layout.POD_RANGE, layout.SERVICE_RANGE, layout.FLEET_RANGE)]
    assert not [(a, b) for a in ranges for b in ranges if a is not b and a.overlaps(b)]


def test_discovery_labels_are_spelled_as_prometheus_spells_them() -> None:
    assert prometheus.meta("autoglm.dev/pool", "label") == "__meta_kubernetes_pod_label_autoglm_dev_pool"


def test_prometheus_manifest_has_no_placeholder_left() -> None:
    rendered = prometheus.render((MANIFESTS / "prometheus.yaml").read_text())
    assert "@" not in rendered
    assert len(list(yaml.safe_load_all(rendered))) == 7


@pytest.mark.parametrize(
    ("line", "downloaded"),
    [
        ("redis==6.4.0 \\", "redis==6.4.0 \\"),
        ("async-timeout==5.0.1 ; python_full_version < '3.11.3' \\", "async-timeout==5.0.1 \\"),
        ("uvloop==0.22.1 ; sys_platform != 'win32' \\", "uvloop==0.22.1 ; sys_platform != 'win32' \\"),
    ],
)
def test_wheels_are_for_every_patch_release_of_the_images_python(line: str, downloaded: str) -> None:
    assert pip.for_every_patch(line) == downloaded
