"""One line of JSON per query, without prompts, keys or words of the client but its request and trace identifiers.

The event loop makes a line (microseconds) and never writes: a thread writes what has gathered a few times a second.
When that is too slow, because nobody reads stdout, lines are dropped and counted instead of queries being held up.
"""

import datetime as dt
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from threading import Event, Thread
from typing import Any, Final

import orjson
from prometheus_client.core import CounterMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from autoglm_api import names
from autoglm_gateway.passing import Trace
from autoglm_gateway.query import Query
from autoglm_gateway.refusal import RefusalError

_CAPACITY: Final = 10_000
_PAUSE_SECONDS: Final = 0.25
STOP_SECONDS: Final = 2.0
"""How long the end of the process may wait for the last lines."""
_TRACE_ID: Final = slice(3, 35)  # of a traceparent
_OPTIONS: Final = orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z | orjson.OPT_OMIT_MICROSECONDS
_LEFT: Final = "499"
_BROKEN: Final = "broken"

Write = Callable[[bytes], None]


def to_stdout(lines: bytes) -> None:
    """Write lines to stdout as a whole; raises OSError."""
    left = memoryview(lines)
    while left:
        left = left[os.write(sys.stdout.fileno(), left) :]


class AccessLog:
    """Takes lines from the event loop, and writes them in a thread of its own between `start` and `stop`."""

    def __init__(
        self, write: Write = to_stdout, wall: Callable[[], float] = time.time, capacity: int = _CAPACITY
    ) -> None:
        self._write = write
        self._wall = wall
        self._capacity = capacity
        self._lines: deque[bytes] = deque()
        self._stopping: Event | None = None
        self._writer: Thread | None = None
        self.dropped = 0

    def query(self, query: Query, now: float) -> None:
        """Note a query that is over."""
        self._keep(query.trace, now - query.arrived, fields_of(query))

    def refused(self, trace: Trace, refusal: RefusalError, seconds: float) -> None:
        """Note a request that was refused before it had a pool."""
        fields = {"outcome": "refused", "status": refusal.status, "error": refusal.code}
        self._keep(trace, seconds, fields)

    def start(self) -> None:
        """Begin to write."""
        if self._stopping is None:
            self._stopping = Event()
            self._writer = Thread(target=self._run, args=(self._stopping,), name="access-log", daemon=True)
            self._writer.start()

    def stop(self, seconds: float = 0.0) -> None:
        """Let what is left be written, waiting at most so long; a write that hangs is left behind."""
        if self._stopping is not None:
            self._stopping.set()
            self._stopping = None
        if self._writer is not None:
            self._writer.join(seconds)

    def _keep(self, trace: Trace, seconds: float, fields: dict[str, Any]) -> None:
        if len(self._lines) >= self._capacity:
            self.dropped += 1
            return
        line = {
            "time": dt.datetime.fromtimestamp(self._wall(), dt.UTC),
            "request_id": trace.request_id,
            "trace_id": trace.traceparent[_TRACE_ID],
            **fields,
            "total_ms": _milliseconds(seconds),
        }
        self._lines.append(orjson.dumps(line, option=_OPTIONS))

    def _run(self, stopping: Event) -> None:
        while not stopping.wait(_PAUSE_SECONDS):
            self._flush()
        self._flush()

    def _flush(self) -> None:
        """Write what is there now; appending and taking from the left are atomic, so no lock is held."""
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if not lines:
            return
        try:
            self._write(b"".join(lines))
        except OSError:  # such as a pipe that nobody reads any more: the gateway goes on without its log
            self.dropped += len(lines)


class AccessLogCollector(Collector):
    """How many lines were not written."""

    def __init__(self, log: AccessLog) -> None:
        self._log = log

    def collect(self) -> Iterable[Metric]:
        """Yield the one series."""
        name = names.METRIC_GATEWAY_ACCESS_LOG_DROPPED.removesuffix("_total")
        yield CounterMetricFamily(name, "Lines of the access log that were not written.", value=self._log.dropped)


def fields_of(query: Query) -> dict[str, Any]:
    """Return what is told of a query that is over."""
    wish = query.need.wish
    told = dict(query.told)
    return {
        "outcome": _outcome(query),
        # A stream that broke had begun with 200.
        "status": int(query.code) if query.code.isdigit() else 200,
        "error": query.error,
        "tenant": _hashed(wish.tenant) if wish.tenant else None,
        "class": query.query_class,
        "pool": query.pool.name,
        "replica": None if query.replica is None else "{}:{}".format(*query.replica),
        "tier": wish.tier,
        "reason": query.chosen_by,
        "cache": told.get(names.HEADER_CACHE),
        "prompt_tokens": query.prompt_tokens,
        "output_tokens": max(0, query.used_tokens - query.prompt_tokens),
        "queue_ms": _milliseconds(query.waited),
        "first_byte_ms": _milliseconds(query.first_byte),
    }


@lru_cache(maxsize=1024)
def _hashed(tenant: str) -> str:
    return names.short_hash(tenant)


def _outcome(query: Query) -> str:
    if query.error is not None:
        return "refused"
    return {_LEFT: "left", _BROKEN: "broken"}.get(query.code, "answered")


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
