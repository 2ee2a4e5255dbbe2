"""The host's side of the cluster network: one link that holds the node's address, routes, forwarding.

Everything is undone by `remove`, also after a crash, because it works from fixed names and not from memory.
"""

import ipaddress
import json
import subprocess
from pathlib import Path
from typing import Final

from autoglm_localcluster import layout

_FORWARDING: Final = Path("/proc/sys/net/ipv4/ip_forward")
_NETNS_DIR: Final = Path("/run/netns")


def prepare_link() -> None:
    """Create the link that holds the node's address; the API server listens there."""
    if not _link_exists(layout.BRIDGE):
        ip("link", "add", layout.BRIDGE, "type", "bridge")
        ip("address", "add", f"{layout.NODE_ADDRESS}/32", "dev", layout.BRIDGE)
        ip("link", "set", layout.BRIDGE, "up")


def prepare(memory: Path) -> None:
    """Add the Service route and let the host forward; the file remembers the old forwarding switch."""
    if not memory.exists():
        memory.write_text(_FORWARDING.read_text())
    _FORWARDING.write_text("1\n")
    # An unmatched Service address must never leave the machine by the default route.
    ip("route", "replace", layout.SERVICE_RANGE, "dev", layout.BRIDGE, "src", layout.NODE_ADDRESS)


def remove(memory: Path) -> None:
    """Remove pods' network namespaces, the fleet's namespace, the link, kube-proxy's tables; restore forwarding."""
    for namespace in _pod_namespaces():
        ip("netns", "delete", namespace, check=False)
    remove_fleet_namespace()
    ip("link", "delete", layout.BRIDGE, check=False)
    for family in ("ip", "ip6"):
        _quietly("nft", "delete", "table", family, "kube-proxy")
    if memory.exists():
        _FORWARDING.write_text(memory.read_text())
        memory.unlink()


def prepare_fleet_namespace() -> None:
    """Create the namespace that owns the fleet's whole address range, routed from the host (and so from pods)."""
    remove_fleet_namespace()
    inside = ("-n", layout.FLEET_NAMESPACE)
    prefix = layout.FLEET_LINK_PREFIX
    ip("netns", "add", layout.FLEET_NAMESPACE)
    ip("link", "add", layout.FLEET_HOST_LINK, "type", "veth", "peer", "name", layout.FLEET_INNER_LINK)
    ip("link", "set", layout.FLEET_INNER_LINK, "netns", layout.FLEET_NAMESPACE)
    ip("address", "add", f"{layout.FLEET_HOST_ADDRESS}/{prefix}", "dev", layout.FLEET_HOST_LINK)
    ip("link", "set", layout.FLEET_HOST_LINK, "up")
    ip(*inside, "address", "add", f"{layout.FLEET_INNER_ADDRESS}/{prefix}", "dev", layout.FLEET_INNER_LINK)
    ip(*inside, "link", "set", "lo", "up")
    ip(*inside, "link", "set", layout.FLEET_INNER_LINK, "up")
    ip(*inside, "route", "add", "local", layout.FLEET_RANGE, "dev", "lo")
    ip(*inside, "route", "add", "default", "via", layout.FLEET_HOST_ADDRESS)
    ip("route", "replace", layout.FLEET_RANGE, "via", layout.FLEET_INNER_ADDRESS)


def remove_fleet_namespace() -> None:
    """Remove the fleet's namespace and, with its inner end, the link to it."""
    ip("link", "delete", layout.FLEET_HOST_LINK, check=False)
    ip("netns", "delete", layout.FLEET_NAMESPACE, check=False)


def ip(*arguments: str, check: bool = True) -> str:
    """Run iproute2's `ip`; with `check` a failure raises `RuntimeError`."""
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if check and result.returncode != 0:
        raise RuntimeError(f"ip {' '.join(arguments)}: {result.stderr.strip()}")
    return result.stdout


def _pod_namespaces() -> list[str]:
    """Network namespaces of our pods: made by CNI, with an address of our range inside."""
    return [path.name for path in _NETNS_DIR.glob("cni-*") if _is_ours(path.name)]


def _is_ours(namespace: str) -> bool:
    links = json.loads(ip("-n", namespace, "-json", "-4", "address", "show", check=False) or "[]")
    addresses = [entry["local"] for link in links for entry in link.get("addr_info", [])]
    return any(ipaddress.ip_address(address) in ipaddress.ip_network(layout.POD_RANGE) for address in addresses)


def _link_exists(name: str) -> bool:
    return Path(f"/sys/class/net/{name}").exists()


def _quietly(*command: str) -> None:
    subprocess.run(command, capture_output=True, check=False)
