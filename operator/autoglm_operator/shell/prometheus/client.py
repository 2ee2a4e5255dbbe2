"""The HTTP side of Prometheus: one bounded request per tick, every failure typed."""

import asyncio
from datetime import datetime
from typing import Final

import httpx

from autoglm_operator.scaling.readings import Problem
from autoglm_operator.shell.prometheus.coverage import GatewayMetrics, gateway_metrics
from autoglm_operator.shell.prometheus.query import gateway_load_query
from autoglm_operator.shell.prometheus.reply import PrometheusError, parsed

__all__ = ["Prometheus", "PrometheusError"]

DEADLINE_SECONDS: Final = 4.0
FRESH_SECONDS: Final = 60.0
"""Twice the common scrape interval of 30 s; Prometheus itself marks a failed target stale at once."""
MAX_BODY_BYTES: Final = 64 * 1024 * 1024


class Prometheus:
    """A client of one Prometheus (or anything that answers its /api/v1/query).

    Redirects and proxies from the environment are not followed: the address is the operator's own setting, and
    a redirect may lead anywhere.
    """

    def __init__(
        self,
        url: str,
        *,
        deadline_seconds: float = DEADLINE_SECONDS,
        fresh_seconds: float = FRESH_SECONDS,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._form = {"query": gateway_load_query()}
        self._deadline_seconds = deadline_seconds
        self._fresh_seconds = fresh_seconds
        self._max_body_bytes = max_body_bytes
        self._http = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=deadline_seconds)

    async def read(self, now: datetime) -> GatewayMetrics:
        """Return what every gateway reports; `now` is the wall clock.

        Raises:
            PrometheusError: no usable reply within the deadline.
        """
        body = await self._body()
        return gateway_metrics(parsed(body, now.timestamp()), self._fresh_seconds)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _body(self) -> bytes:
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._fetch()
        except (TimeoutError, httpx.TimeoutException) as error:
            detail = f"no reply within {self._deadline_seconds:g} s"
            raise PrometheusError(Problem.TIMEOUT, detail) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            detail = f"{type(error).__name__}: {error}"
            raise PrometheusError(Problem.UNREACHABLE, detail) from error

    async def _fetch(self) -> bytes:
        # Identity: the reply crosses one cluster network, and decompression would let a small body grow.
        headers = {"accept-encoding": "identity"}
        async with self._http.stream("POST", self._url, data=self._form, headers=headers) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > self._max_body_bytes:
                    raise PrometheusError(Problem.TOO_LARGE, f"more than {self._max_body_bytes} bytes")
        if response.status_code != httpx.codes.OK:
            quoted = bytes(body[:200]).decode(errors="replace")
            raise PrometheusError(Problem.HTTP_STATUS, f"{response.status_code}: {quoted}")
        return bytes(body)
