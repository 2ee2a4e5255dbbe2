"""One request to Prometheus: in time, bounded, and every failure typed."""

import asyncio
from collections.abc import Mapping
from typing import Final

import httpx

from autoglm_operator.scaling.readings import Problem
from autoglm_operator.shell.prometheus.reply import PrometheusError

# Identity: the reply crosses one cluster network, and decompression would let a small body grow.
_HEADERS: Final = {"accept-encoding": "identity"}


class Fetcher:
    """Asks one /api/v1/query.

    Redirects and proxies from the environment are not followed: the address is the operator's own setting, and
    a redirect may lead anywhere.
    """

    def __init__(self, url: str, deadline_seconds: float) -> None:
        self._url = f"{url.rstrip('/')}/api/v1/query"
        self._deadline_seconds = deadline_seconds
        self._http = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=deadline_seconds)

    async def body(self, form: Mapping[str, str], max_bytes: int) -> bytes:
        """Return the body of a reply with status 200; raises PrometheusError."""
        try:
            async with asyncio.timeout(self._deadline_seconds):
                return await self._fetch(form, max_bytes)
        except (TimeoutError, httpx.TimeoutException) as error:
            detail = f"no reply within {self._deadline_seconds:g} s"
            raise PrometheusError(Problem.TIMEOUT, detail) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            detail = f"{type(error).__name__}: {error}"
            raise PrometheusError(Problem.UNREACHABLE, detail) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _fetch(self, form: Mapping[str, str], max_bytes: int) -> bytes:
        async with self._http.stream("POST", self._url, data=dict(form), headers=_HEADERS) as response:
            body = bytearray()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > max_bytes:
                    raise PrometheusError(Problem.TOO_LARGE, f"more than {max_bytes} bytes")
        if response.status_code != httpx.codes.OK:
            quoted = bytes(body[:200]).decode(errors="replace")
            raise PrometheusError(Problem.HTTP_STATUS, f"{response.status_code}: {quoted}")
        return bytes(body)
