"""Starts and stops the real node: containerd, kubelet, kube-proxy and the cluster's DNS, as processes of this host."""

import contextlib
import datetime as dt
import os
import shutil
import subprocess
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Final

import psutil

from autoglm_localcluster import certificates, layout, node_config, processes, toolchain
from autoglm_localcluster.certificates import Identity, KeyPair
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.controlplane import write_kubeconfig
from autoglm_localcluster.host import Host
from autoglm_localcluster.paths import RunDir
from autoglm_localcluster.processes import Program

CONTAINERD: Final = "containerd"
KUBELET: Final = "kubelet"
KUBE_PROXY: Final = "kube-proxy"
COREDNS: Final = "coredns"
_PROGRAMS: Final = (KUBELET, KUBE_PROXY, COREDNS, CONTAINERD)
_NAMESPACE: Final = "k8s.io"
_CGROUPS: Final = Path("/sys/fs/cgroup")
_START_SECONDS: Final = 60
_KUBELET_PORT: Final = 10250
_CLIENTS: Final = {
    KUBELET: Identity(f"system:node:{node_config.NODE_NAME}", ("system:nodes",), (layout.NODE_ADDRESS,)),
    KUBE_PROXY: Identity("system:kube-proxy"),
    COREDNS: Identity("system:coredns", ("system:masters",)),
}


def start_runtime(run: RunDir, host: Host) -> None:
    """Start containerd, so that images can be imported before the kubelet asks for them."""
    runc = shutil.which("runc") or "runc"
    config = run.config / "containerd.toml"
    config.write_text(node_config.containerd(run, host, runc=runc))
    (run.config / "cni").mkdir(exist_ok=True)
    (run.config / "cni" / "10-autoglm.conflist").write_text(node_config.cni(run))
    _run_containerd(run)
    if _forget_containers(run):
        # containerd's pod service learns at its start only that the containers of an earlier cluster are gone.
        processes.stop(run, (CONTAINERD,))
        _run_containerd(run)


def start(cluster: Cluster, host: Host) -> Cluster:
    """Join the real node to the cluster; returns the cluster, with its node Ready."""
    run = cluster.run
    _write_files(run, host, cluster.server_url)
    for program in _programs(run):
        processes.start(run, program)
    for _ in processes.attempts(_START_SECONDS, pause_seconds=0.5):
        for name in _PROGRAMS:
            processes.check(run, name)
        if _is_ready(cluster):
            joined = replace(cluster, has_node=True)
            joined.save()
            return joined
    raise TimeoutError(f"the node was not Ready within {_START_SECONDS} s:\n{processes.tail(run, KUBELET)}")


def is_running(run: RunDir) -> bool:
    """Whether all programs of the node run."""
    return all(processes.find(run, name) for name in _PROGRAMS)


def image_names(run: RunDir) -> set[str]:
    """Full names of the images that containerd has."""
    return set(_ctr(run, "-n", _NAMESPACE, "images", "list", "--quiet").stdout.split())


def has_image(present: Collection[str], tag: str) -> bool:
    """Whether a short name is among the full names, which have the default registry in front."""
    return any(name.endswith(f"/{tag}") and not name.startswith("localhost/") for name in present)


def import_image(run: RunDir, archive: Path) -> None:
    """Bring an image archive into containerd.

    Raises:
        RuntimeError: containerd refused it.
    """
    result = _ctr(run, "-n", _NAMESPACE, "images", "import", str(archive))
    if result.returncode != 0:
        raise RuntimeError(f"importing {archive.name} failed: {result.stderr}")


def stop(run: RunDir) -> None:
    """Stop the node: kubelet first, then its containers, then containerd, then what they left mounted."""
    processes.stop(run, (KUBELET, KUBE_PROXY, COREDNS))
    processes.stop(run, (CONTAINERD,))
    _end_shims(run)
    unmount_below(run.root)
    _remove_empty_cgroups()


def unmount_below(folder: Path) -> None:
    """Unmount everything mounted below the folder, innermost first."""
    lines = Path("/proc/self/mounts").read_text().splitlines()
    points = [line.split()[1].replace("\\040", " ") for line in lines]
    for point in sorted((point for point in points if point.startswith(f"{folder}/")), reverse=True):
        subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)


def _remove_empty_cgroups() -> None:
    """Remove the control groups that containers have left; the kernel refuses those still in use."""
    for top in [*_CGROUPS.glob(_NAMESPACE), *_CGROUPS.glob(f"*/{_NAMESPACE}")]:
        for folder in sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True):
            with contextlib.suppress(OSError):
                folder.rmdir()
        with contextlib.suppress(OSError):
            top.rmdir()


def _run_containerd(run: RunDir) -> None:
    path = f"{toolchain.SHIM.path.parent}{os.pathsep}{os.environ['PATH']}"
    command = (str(toolchain.CONTAINERD.path), "--config", str(run.config / "containerd.toml"))
    processes.start(run, Program(CONTAINERD, command, {"PATH": path}))
    for _ in processes.attempts(_START_SECONDS):
        processes.check(run, CONTAINERD)
        if _ctr(run, "version").returncode == 0:
            return
    raise TimeoutError(f"containerd was not ready within {_START_SECONDS} s:\n{processes.tail(run, CONTAINERD)}")


def _forget_containers(run: RunDir) -> bool:
    """Remove what containerd remembers of an earlier cluster's pods; returns whether there was anything."""
    forgotten = False
    for kind in ("containers", "sandboxes"):
        listed = _ctr(run, "-n", _NAMESPACE, kind, "list", *(("--quiet",) if kind == "containers" else ()))
        identifiers = _identifiers(listed.stdout)
        for identifier in identifiers:
            _ctr(run, "-n", _NAMESPACE, kind, "rm", identifier)
        forgotten = forgotten or bool(identifiers)
    return forgotten


def _identifiers(listing: str) -> list[str]:
    """First words of a listing, without its heading."""
    words = [line.split()[0] for line in listing.splitlines() if line.strip()]
    return [word for word in words if not word.isupper()]


def _end_shims(run: RunDir) -> None:
    """End shims that outlive containerd, with the containers that they hold; ours are told by containerd's socket."""
    socket = node_config.containerd_socket(run)
    shims = [process for process in psutil.process_iter(["cmdline"]) if socket in (process.info["cmdline"] or [])]
    for process in shims:
        for member in [*process.children(recursive=True), process]:
            processes.kill(member)


def _programs(run: RunDir) -> list[Program]:
    kube = str(toolchain.KUBE.path)
    kubelet = (
        kube,
        KUBELET,
        f"--config={run.config / 'kubelet.yaml'}",
        f"--kubeconfig={run.config / 'kubelet.kubeconfig'}",
        f"--root-dir={run.state / 'kubelet'}",
        f"--node-ip={layout.NODE_ADDRESS}",
        f"--hostname-override={node_config.NODE_NAME}",
    )
    return [
        Program(KUBELET, kubelet),
        Program(KUBE_PROXY, (kube, KUBE_PROXY, f"--config={run.config / 'kube-proxy.yaml'}")),
        Program(COREDNS, (str(toolchain.COREDNS.path), "-conf", str(run.config / "Corefile"))),
    ]


def _write_files(run: RunDir, host: Host, server_url: str) -> None:
    authority = KeyPair.read(run.pki, "ca")
    now = dt.datetime.now(dt.UTC)
    for name, identity in _CLIENTS.items():
        certificates.issue(authority, identity, now).write(run.pki, name)
        write_kubeconfig(run, name, server_url)
    texts = {
        "kubelet.yaml": node_config.kubelet(run, host),
        "kube-proxy.yaml": node_config.kube_proxy(run),
        "Corefile": node_config.corefile(run),
        "resolv.conf": f"nameserver {layout.NODE_ADDRESS}\n",
    }
    for name, text in texts.items():
        (run.config / name).write_text(text)


def _is_ready(cluster: Cluster) -> bool:
    path = '{.items[*].status.conditions[?(@.type=="Ready")].status}'
    selector = f"metadata.name={node_config.NODE_NAME}"
    return cluster.kubectl("get", "nodes", "--field-selector", selector, "-o", f"jsonpath={path}") == "True"


def _ctr(run: RunDir, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(toolchain.CTR.path), "--address", node_config.containerd_socket(run), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)
