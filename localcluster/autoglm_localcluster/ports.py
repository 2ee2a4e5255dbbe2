"""Free TCP ports for servers that are started by name and port."""

import secrets
import socket

# Below the kernel's ephemeral range, so that no outgoing connection of the machine takes a port between our check
# and the server's bind.
_FIRST = 20_000
_LAST = 32_000
_ATTEMPTS = 200


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port nobody listens on at this moment.

    Raises:
        OSError: no free port was found in the range.
    """
    for _ in range(_ATTEMPTS):
        port = _FIRST + secrets.randbelow(_LAST - _FIRST)
        if _is_free(host, port):
            return port
    raise OSError(f"no free TCP port between {_FIRST} and {_LAST} on {host}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
