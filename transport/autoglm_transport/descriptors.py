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


def affordable_connections(wanted: int, descriptors: int, upstreams: int) -> int:
    """Return how many clients may be connected at once, when as many as `upstreams` of them have a second socket.

    | wanted | descriptors | upstreams | connections | because                                    |
    |--------|-------------|-----------|-------------|--------------------------------------------|
    | 10,000 | 1,048,576   | any       | 10,000      | there is room for two each                 |
    | 10,000 | 20,000      | 100       | 10,000      | the others wait or idle                    |
    | 10,000 | 20,000      | 50,000    | 9,872       | every client may be served at once         |
    | 10,000 | 4,096       | 1,000     | 2,840       | what is left beside all upstreams          |
    | 10,000 | 64          | any       | 16          | the least; then accepting may fail         |
    """
    left = descriptors - _RESERVED
    return max(_MIN_CONNECTIONS, min(wanted, max(left // 2, left - upstreams)))


def affordable_upstreams(connections: int, descriptors: int) -> int:
    """Return how many sockets to upstreams are left beside so many clients."""
    return max(_MIN_CONNECTIONS, descriptors - _RESERVED - connections)
