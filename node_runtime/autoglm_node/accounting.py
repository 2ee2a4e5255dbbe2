"""Every query's end is counted, whatever the protocol and however it ended."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from autoglm_node.failure import RefusalError
from autoglm_node.metrics import Metrics

_CLIENT_LEFT: Final = 499
_ANSWERED: Final = 200


@contextmanager
def counted(metrics: Metrics) -> Iterator[None]:
    """Count how a query's work in the block ended, by HTTP status; what it raises goes on."""
    code, began = _CLIENT_LEFT, time.monotonic_ns()
    try:
        yield
        code = _ANSWERED
    except RefusalError as refusal:
        code = refusal.status
        metrics.rejected.labels(reason=refusal.code).inc()
        raise
    except (asyncio.CancelledError, GeneratorExit, ConnectionError):
        raise
    # Whatever it was is a mistake of ours, which is counted as such and goes on.
    except Exception:
        code = 500
        raise
    finally:
        metrics.queries.labels(code=str(code)).inc()
        metrics.took.add(time.monotonic_ns() - began, answered=code == _ANSWERED)
