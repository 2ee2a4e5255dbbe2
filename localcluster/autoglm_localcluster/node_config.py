"""Configuration of the real node's programs. Pure: paths and facts in, text out."""

import json
from pathlib import Path
from typing import Final

import yaml

from autoglm_localcluster import layout
from autoglm_localcluster.host import Host
from autoglm_localcluster.paths import RunDir, cache_dir

NODE_NAME: Final = "autoglm-node"
PAUSE_IMAGE: Final = "autoglm/pause:1"
CNI_PROGRAMS: Final = "/usr/lib/cni"
_FIRST_POD_ADDRESS: Final = "10.97.0.10"


def containerd_socket(run: RunDir) -> str:
    """Path of containerd's socket."""
    return str(run.state / "containerd.sock")


def image_store() -> Path:
    """Containerd's images and their unpacked layers: kept between clusters, so that a start imports only news."""
    return cache_dir() / "containerd"


def containerd(run: RunDir, host: Host, *, runc: str) -> str:
    """Containerd's TOML (version 3, for containerd 2)."""
    # Without CAP_SYS_RESOURCE nobody may lower oom_score_adj, and every sandbox would fail with
    # "can't get final child's PID from pipe: EOF".
    restrict = "false" if host.may_raise_limits else "true"
    return f"""\
version = 3
root = "{image_store()}"
state = "{run.state / "containerd-state"}"
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.tracing.processor.v1.otlp"]

[grpc]
address = "{containerd_socket(run)}"

[plugins.'io.containerd.cri.v1.images']
snapshotter = "overlayfs"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = "{PAUSE_IMAGE}"

[plugins.'io.containerd.cri.v1.runtime']
restrict_oom_score_adj = {restrict}
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ["{CNI_PROGRAMS}"]
conf_dir = "{run.config / "cni"}"
[plugins.'io.containerd.cri.v1.runtime'.containerd]
default_runtime_name = "runc"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = "{runc}"
SystemdCgroup = false
"""


def cni(run: RunDir) -> str:
    """CNI configuration (JSON): one point-to-point link per pod, everything routed by the host.

    A bridge would need the br_netfilter module for Services between pods; point-to-point links do not. No address
    translation: pods reach this machine and each other, and nothing beyond it.
    """
    addresses = {"subnet": layout.POD_RANGE, "gateway": layout.NODE_ADDRESS, "rangeStart": _FIRST_POD_ADDRESS}
    ipam = {
        "type": "host-local",
        "ranges": [[addresses]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(run.state / "ipam"),
    }
    plugin = {"type": "ptp", "ipMasq": False, "ipam": ipam}
    return json.dumps({"cniVersion": "1.0.0", "name": "autoglm", "plugins": [plugin]}, indent=2)


def kubelet(run: RunDir, host: Host) -> str:
    """KubeletConfiguration (YAML)."""
    settings: dict[str, object] = {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": layout.NODE_ADDRESS,
        "healthzBindAddress": layout.LOOPBACK,
        "readOnlyPort": 0,
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(run.pki / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": str(run.pki / "kubelet.crt"),
        "tlsPrivateKeyFile": str(run.pki / "kubelet.key"),
        "containerRuntimeEndpoint": f"unix://{containerd_socket(run)}",
        "clusterDNS": [layout.NODE_ADDRESS],
        "clusterDomain": layout.CLUSTER_DOMAIN,
        "resolvConf": str(run.config / "resolv.conf"),
        "podLogsDir": str(run.logs / "pods"),
        "failSwapOn": False,
        "cgroupDriver": "cgroupfs",
        # Images are imported, not pulled: collecting them as garbage would lose them.
        "imageGCHighThresholdPercent": 100,
        "imageGCLowThresholdPercent": 99,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "kubeAPIQPS": 100,
        "kubeAPIBurst": 200,
    }
    if not host.has_cgroup_v2:
        settings |= {"failCgroupV1": False, "cgroupsPerQOS": False, "enforceNodeAllocatable": []}
    return yaml.safe_dump(settings, sort_keys=False)


def kube_proxy(run: RunDir) -> str:
    """KubeProxyConfiguration (YAML)."""
    settings = {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "mode": "nftables",
        "clusterCIDR": layout.POD_RANGE,
        "clientConnection": {"kubeconfig": str(run.config / "kube-proxy.kubeconfig")},
        "hostnameOverride": NODE_NAME,
        "healthzBindAddress": "",
        "metricsBindAddress": "",
        # The machine's connection tracking limits are not ours to change.
        "conntrack": {"maxPerCore": 0, "min": 0, "tcpEstablishedTimeout": "0s", "tcpCloseWaitTimeout": "0s"},
    }
    return yaml.safe_dump(settings, sort_keys=False)


def corefile(run: RunDir) -> str:
    """CoreDNS configuration: the cluster's names, and a quick "no such name" for all others."""
    return f"""\
{layout.CLUSTER_DOMAIN} in-addr.arpa {{
    bind {layout.NODE_ADDRESS}
    errors
    kubernetes {layout.CLUSTER_DOMAIN} in-addr.arpa {{
        kubeconfig {run.config / "coredns.kubeconfig"} local
        ttl 1
    }}
}}
. {{
    bind {layout.NODE_ADDRESS}
    errors
    template ANY ANY . {{
        rcode NXDOMAIN
    }}
}}
"""
