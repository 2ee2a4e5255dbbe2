"""How many sockets this process may have open."""

import resource
from typing import Final

# For listeners, logs, the connections to replicas and to the API server; a client is turned away before those fail.
_RESERVED: Final = 256
_MIN_CONNECTIONS: Final = 16


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def affordable_connections(wanted: int, descriptors: int) -> int:
    """Return how many clients may be connected at once: every one may need a second socket, to a replica.

    | wanted | descriptors | connections |
    |--------|-------------|-------------|
    | 10,000 | 1,048,576   | 10,000      |
    | 10,000 | 4,096       | 1,920       |
    | 10,000 | 64          | 16          |
    """
    return max(_MIN_CONNECTIONS, min(wanted, (descriptors - _RESERVED) // 2))
