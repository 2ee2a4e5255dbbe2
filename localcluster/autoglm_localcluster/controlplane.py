"""Starts and stops etcd, the API server, the controllers, the scheduler and KWOK.

A fresh start takes 5 to 7 seconds. Several control planes run side by side, each in its own run directory on its own
free ports.
"""

import datetime as dt
import shutil
import ssl

import httpx

from autoglm_localcluster import certificates, fakenodes, layout, processes, servers, toolchain
from autoglm_localcluster.certificates import Identity, KeyPair
from autoglm_localcluster.cluster import Cluster
from autoglm_localcluster.layout import Endpoints
from autoglm_localcluster.paths import RunDir
from autoglm_localcluster.ports import free_port
from autoglm_localcluster.processes import Program

_START_SECONDS = 60
_APISERVER_NAMES = (
    "localhost",
    layout.LOOPBACK,
    layout.NODE_ADDRESS,
    layout.KUBERNETES_SERVICE_ADDRESS,
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    f"kubernetes.default.svc.{layout.CLUSTER_DOMAIN}",
)
_CLIENTS = {
    "admin": Identity("admin", ("system:masters",)),
    "controller-manager": Identity("system:kube-controller-manager"),
    "scheduler": Identity("system:kube-scheduler"),
    "kwok": Identity("kwok", ("system:masters",)),
}


class ControlPlane:
    """The servers of one cluster, without any real node."""

    @staticmethod
    def start(run: RunDir, *, host: str = layout.LOOPBACK) -> Cluster:
        """Start a fresh control plane and return once pods can be created in it.

        What a crashed run left in the directory is stopped and removed first. The programs must be there
        (`toolchain.ensure(toolchain.CONTROL_PLANE_TOOLS)`).

        Args:
            run: directory for everything the cluster writes.
            host: address of this machine to listen on; loopback when no pod has to reach the API server.

        Raises:
            ServerDiedError: a server ended; the message has the end of its log.
            TimeoutError: the API server was not ready in a minute.
        """
        ControlPlane.stop(run)
        shutil.rmtree(run.root, ignore_errors=True)
        run.create()
        at = Endpoints(host, free_port(host), free_port(), free_port())
        _write_files(run, at)
        _start_servers(run, at)
        cluster = Cluster(run.name, "local", run.kubeconfig, at.server_url, run.root, has_node=False)
        cluster.save()
        return cluster

    @staticmethod
    def stop(run: RunDir) -> None:
        """Stop every server of the run directory that still runs; the directory stays (logs)."""
        processes.stop(run, (fakenodes.KWOK, servers.SCHEDULER, servers.CONTROLLER_MANAGER))
        # kube-apiserver waits up to a minute on SIGTERM, so it is killed after the usual grace.
        processes.stop(run, (servers.APISERVER,))
        processes.stop(run, (servers.ETCD,))

    @staticmethod
    def is_running(run: RunDir) -> bool:
        """Whether all servers of the control plane run."""
        expected = (servers.ETCD, servers.APISERVER, servers.CONTROLLER_MANAGER, servers.SCHEDULER)
        return all(processes.find(run, name) for name in expected)


def _start_servers(run: RunDir, at: Endpoints) -> None:
    kube = toolchain.KUBE.path
    processes.start(run, servers.etcd(kube, run, at))
    processes.start(run, servers.apiserver(kube, run, at))
    _await_answer(run, at, "/readyz", servers.APISERVER)
    dependents: list[Program] = [servers.controller_manager(kube, run), servers.scheduler(kube, run)]
    for program in [*dependents, fakenodes.kwok_program(run)]:
        processes.start(run, program)
    # Pods are refused until the controller has made the default account.
    _await_answer(run, at, "/api/v1/namespaces/default/serviceaccounts/default", servers.CONTROLLER_MANAGER)


def _await_answer(run: RunDir, at: Endpoints, path: str, server: str) -> None:
    with httpx.Client(base_url=at.server_url, verify=_client_context(run), trust_env=False, timeout=5) as client:
        for _ in processes.attempts(_START_SECONDS):
            processes.check(run, server)
            if _succeeds(client, path):
                return
    raise TimeoutError(
        f"{server} was not ready within {_START_SECONDS} s; its log says:\n{processes.tail(run, server)}"
    )


def _succeeds(client: httpx.Client, path: str) -> bool:
    try:
        return client.get(path).is_success
    except httpx.TransportError:
        return False


def _client_context(run: RunDir) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(run.pki / "ca.crt"))
    context.load_cert_chain(run.pki / "admin.crt", run.pki / "admin.key")
    return context


def _write_files(run: RunDir, at: Endpoints) -> None:
    now = dt.datetime.now(dt.UTC)
    authority = certificates.new_authority(now)
    authority.write(run.pki, "ca")
    _write_signing_key(run)
    for name, identity in {**_servers(at), **_CLIENTS}.items():
        certificates.issue(authority, identity, now).write(run.pki, name)
    for name in _CLIENTS:
        write_kubeconfig(run, name, at.server_url)
    run.kubeconfig.touch(mode=0o600)
    run.kubeconfig.write_text((run.config / "admin.kubeconfig").read_text())
    (run.config / "audit.yaml").write_text(servers.audit_policy())


def _servers(at: Endpoints) -> dict[str, Identity]:
    return {
        "etcd": Identity("etcd", server_names=("localhost", layout.LOOPBACK)),
        # The API server's certificate is also what it shows to etcd and to the kubelet.
        "apiserver": Identity("kube-apiserver", ("system:masters",), (*_APISERVER_NAMES, at.host)),
    }


def write_kubeconfig(run: RunDir, name: str, server_url: str) -> None:
    """Write `config/<name>.kubeconfig` for the client certificate of that name."""
    path = run.config / f"{name}.kubeconfig"
    path.touch(mode=0o600)
    authority = (run.pki / "ca.crt").read_bytes()
    path.write_text(certificates.kubeconfig(server_url, authority, KeyPair.read(run.pki, name)))


def _write_signing_key(run: RunDir) -> None:
    private, public = certificates.new_signing_key()
    (run.pki / "accounts.key").touch(mode=0o600)
    (run.pki / "accounts.key").write_bytes(private)
    (run.pki / "accounts.pub").write_bytes(public)
