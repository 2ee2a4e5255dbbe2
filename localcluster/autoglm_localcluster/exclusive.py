"""One run at a time for work that several runs share: builds and the cache they fill."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from autoglm_localcluster.paths import cache_dir


@contextmanager
def exclusive(purpose: str) -> Iterator[None]:
    """Let a second process wait until the first one has finished its work of this purpose."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / f"{purpose}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
