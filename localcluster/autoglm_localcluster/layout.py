"""Addresses of the local cluster: every network number in one place.

Four ranges that must not overlap each other nor the host's own networks.
"""

from dataclasses import dataclass
from typing import Final

BRIDGE: Final = "autoglm0"
NODE_ADDRESS: Final = "10.97.0.1"
POD_RANGE: Final = "10.97.0.0/24"
SERVICE_RANGE: Final = "10.96.0.0/16"
KUBERNETES_SERVICE_ADDRESS: Final = "10.96.0.1"
FLEET_RANGE: Final = "10.99.0.0/16"
FLEET_NAMESPACE: Final = "autoglm-fleet"
FLEET_HOST_LINK: Final = "autoglm-flt0"
FLEET_INNER_LINK: Final = "autoglm-flt1"
FLEET_HOST_ADDRESS: Final = "10.98.0.1"
FLEET_INNER_ADDRESS: Final = "10.98.0.2"
FLEET_LINK_PREFIX: Final = 30
CLUSTER_DOMAIN: Final = "cluster.local"
LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True)
class Endpoints:
    """Where the control plane of one cluster listens."""

    host: str
    apiserver_port: int
    etcd_port: int
    etcd_peer_port: int

    @property
    def server_url(self) -> str:
        """Address of the API server."""
        return f"https://{self.host}:{self.apiserver_port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this host can reach the API server."""
        return self.host == LOOPBACK
