"""What is asked of Prometheus in one tick: one batch of requests, side by side, within one deadline.

The batch is the gateways' load (without it nothing is known), one request for each kind of figure that any pool
follows, and one for each query of a user's own: one that fails or is slow must not spoil the others.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from datetime import datetime
from typing import Any, Final, TypeVar

from autoglm_operator.shell.prometheus.coverage import gateway_metrics
from autoglm_operator.shell.prometheus.fetch import Fetcher
from autoglm_operator.shell.prometheus.kafka import lag_query
from autoglm_operator.shell.prometheus.kinds import query_of
from autoglm_operator.shell.prometheus.own_queries import OwnQueries
from autoglm_operator.shell.prometheus.query import gateway_load_query
from autoglm_operator.shell.prometheus.replicas import parts_of
from autoglm_operator.shell.prometheus.reply import PrometheusError, Reply, Row, parsed, vector
from autoglm_operator.shell.prometheus.telemetry import Telemetry
from autoglm_operator.shell.prometheus.wanted import NOTHING, Wanted

__all__ = ["Prometheus", "PrometheusError"]

DEADLINE_SECONDS: Final = 4.0
OWN_SECONDS: Final = 2.5
"""How long a tick waits for the queries of users: no decision of others waits longer for them."""
FRESH_SECONDS: Final = 60.0
"""Twice the common scrape interval of 30 s; Prometheus itself marks a failed target stale at once."""
MAX_BODY_BYTES: Final = 64 * 1024 * 1024
_Key = TypeVar("_Key")
_Found = TypeVar("_Found")


class Prometheus:
    """A client of one Prometheus (or anything that answers its /api/v1/query)."""

    def __init__(
        self,
        url: str,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        fresh_seconds: float = FRESH_SECONDS,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._fetcher = Fetcher(url, deadline_seconds)
        self._own = OwnQueries(self._fetcher, min(deadline_seconds, OWN_SECONDS))
        self._fresh_seconds = fresh_seconds
        self._max_body_bytes = max_body_bytes

    async def read(self, now: datetime, wanted: Wanted = NOTHING) -> Telemetry:
        """Return what gateways and replicas report; `now` is the wall clock.

        Raises:
            PrometheusError: no usable reply about the gateways within the deadline.
        """
        at = now.timestamp()
        groups = [wanted.groups] if wanted.groups else []
        load, kinds, lags, own = await asyncio.gather(
            _outcome(self._load(at)),
            _each(wanted.kinds, lambda kind: self._rows(query_of(kind), at)),
            _each(groups, lambda listed: self._rows(lag_query(listed), at)),
            self._own.ask(wanted.queries, at),
        )
        if isinstance(load, PrometheusError):
            raise load
        parts = {kind: rows if isinstance(rows, PrometheusError) else parts_of(rows) for kind, rows in kinds.items()}
        gateways = gateway_metrics(load, self._fresh_seconds)
        return Telemetry(gateways, parts, lags.get(wanted.groups, ()), own, self._fresh_seconds)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._fetcher.aclose()

    async def _load(self, at: float) -> Reply:
        return parsed(await self._fetcher.body({"query": gateway_load_query()}, self._max_body_bytes), at)

    async def _rows(self, query: str, at: float) -> list[Row]:
        rows, _ = vector(await self._fetcher.body({"query": query}, self._max_body_bytes), at)
        return rows


async def _each(
    asked: Iterable[_Key], ask: Callable[[_Key], Coroutine[Any, Any, _Found]]
) -> dict[_Key, _Found | PrometheusError]:
    listed = list(asked)
    return dict(zip(listed, await asyncio.gather(*(_outcome(ask(one)) for one in listed)), strict=True))


async def _outcome(asking: Coroutine[Any, Any, _Found]) -> _Found | PrometheusError:
    try:
        return await asking
    except PrometheusError as error:
        return error
