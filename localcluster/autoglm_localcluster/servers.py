"""Command lines of the control plane's servers. Pure: paths and addresses in, argument lists out."""

from pathlib import Path

import yaml

from autoglm_localcluster import layout
from autoglm_localcluster.layout import Endpoints
from autoglm_localcluster.paths import RunDir
from autoglm_localcluster.processes import Program

_ISSUER = f"https://kubernetes.default.svc.{layout.CLUSTER_DOMAIN}"

_CONTROL_PLANE_USERS = (
    "system:apiserver",
    "system:kube-controller-manager",
    "system:kube-scheduler",
    "system:kube-proxy",
    "kwok",
)

# Users of this group are audited with their reads, so that tests can compare what they ask for with what they may.
AUDITED_GROUP = "autoglm:audited"

ETCD = "etcd"
APISERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"


def etcd(kube: Path, run: RunDir, at: Endpoints) -> Program:
    """Etcd, for the API server's certificate only: whoever reaches it owns the cluster."""
    client_url = f"https://{layout.LOOPBACK}:{at.etcd_port}"
    peer_url = f"https://{layout.LOOPBACK}:{at.etcd_peer_port}"
    return _program(
        kube,
        ETCD,
        {
            "name": "default",
            "data-dir": run.state / "etcd",
            "listen-client-urls": client_url,
            "advertise-client-urls": client_url,
            "listen-peer-urls": peer_url,
            "initial-advertise-peer-urls": peer_url,
            "initial-cluster": f"default={peer_url}",
            "client-cert-auth": "true",
            "trusted-ca-file": run.pki / "ca.crt",
            "cert-file": run.pki / "etcd.crt",
            "key-file": run.pki / "etcd.key",
            "peer-client-cert-auth": "true",
            "peer-trusted-ca-file": run.pki / "ca.crt",
            "peer-cert-file": run.pki / "etcd.crt",
            "peer-key-file": run.pki / "etcd.key",
            # The data need not survive a power cut, and fsync is what makes etcd slow on a laptop.
            "unsafe-no-fsync": "true",
        },
    )


def apiserver(kube: Path, run: RunDir, at: Endpoints) -> Program:
    """API server with RBAC, audit log and, when reachable from pods, the `kubernetes` endpoint."""
    flags: dict[str, object] = {
        "bind-address": at.host,
        "secure-port": at.apiserver_port,
        "advertise-address": at.host,
        "etcd-servers": f"https://{layout.LOOPBACK}:{at.etcd_port}",
        "etcd-cafile": run.pki / "ca.crt",
        "etcd-certfile": run.pki / "apiserver.crt",
        "etcd-keyfile": run.pki / "apiserver.key",
        "authorization-mode": "Node,RBAC",
        "allow-privileged": "true",
        "client-ca-file": run.pki / "ca.crt",
        "tls-cert-file": run.pki / "apiserver.crt",
        "tls-private-key-file": run.pki / "apiserver.key",
        "service-cluster-ip-range": layout.SERVICE_RANGE,
        "service-account-issuer": _ISSUER,
        "service-account-signing-key-file": run.pki / "accounts.key",
        "service-account-key-file": run.pki / "accounts.pub",
        # Without these three `kubectl logs` and `kubectl exec` fail.
        "kubelet-preferred-address-types": "InternalIP",
        "kubelet-client-certificate": run.pki / "apiserver.crt",
        "kubelet-client-key": run.pki / "apiserver.key",
        "kubelet-certificate-authority": run.pki / "ca.crt",
        "audit-policy-file": run.config / "audit.yaml",
        "audit-log-path": run.audit_log,
        "profiling": "false",
    }
    if at.is_loopback:
        # Loopback is not a legal endpoint address; nobody but this host could use it anyway.
        flags["endpoint-reconciler-type"] = "none"
    return _program(kube, APISERVER, flags)


def controller_manager(kube: Path, run: RunDir) -> Program:
    """All controllers, each with its own account."""
    return _program(
        kube,
        CONTROLLER_MANAGER,
        {
            "kubeconfig": run.config / "controller-manager.kubeconfig",
            "service-account-private-key-file": run.pki / "accounts.key",
            "root-ca-file": run.pki / "ca.crt",
            "use-service-account-credentials": "true",
            "leader-elect": "false",
            "secure-port": 0,
            # The defaults (20/30) make 200 pods take half a minute.
            "kube-api-qps": 200,
            "kube-api-burst": 400,
        },
    )


def scheduler(kube: Path, run: RunDir) -> Program:
    """The default scheduler."""
    return _program(
        kube,
        SCHEDULER,
        {
            "kubeconfig": run.config / "scheduler.kubeconfig",
            "leader-elect": "false",
            "secure-port": 0,
            "kube-api-qps": 200,
            "kube-api-burst": 400,
        },
    )


def audit_policy() -> str:
    """Audit policy (YAML): what service accounts of users' namespaces write, in full; other writes as metadata.

    It is the tests' oracle for who wrote what. Reads and the control plane's own heartbeat are left out: they would
    be nearly all of the log. The reads of users in AUDITED_GROUP are kept.
    """
    writes = ["create", "update", "patch", "delete", "deletecollection"]
    noise = [
        {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts:kube-system"]},
        {"level": "None", "users": list(_CONTROL_PLANE_USERS)},
    ]
    kept = [
        {"level": "RequestResponse", "verbs": writes, "userGroups": ["system:serviceaccounts", "system:masters"]},
        {"level": "Metadata", "verbs": writes},
        {"level": "Metadata", "userGroups": [AUDITED_GROUP]},
        {"level": "None"},
    ]
    policy = {
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "omitStages": ["RequestReceived"],
        "rules": noise + kept,
    }
    return yaml.safe_dump(policy, sort_keys=False)


def _program(kube: Path, name: str, flags: dict[str, object]) -> Program:
    return Program(name, (str(kube), name, *(f"--{flag}={value}" for flag, value in flags.items())))
