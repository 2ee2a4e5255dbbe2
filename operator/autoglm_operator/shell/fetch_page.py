"""One page of a pod's admin surface: in time, bounded, and every failure typed."""

import asyncio
from typing import Final

import httpx

from autoglm_operator.scaling.readings import NoData, Problem
from autoglm_operator.shell.addresses import Address

DEADLINE_SECONDS: Final = 1.0
AT_ONCE: Final = 32
LARGEST_BODY: Final = 2 * 1024 * 1024


class Pages:
    """Fetches pages of pods, a bounded number at once; redirects and proxies are not followed."""

    def __init__(self, deadline_seconds: float = DEADLINE_SECONDS) -> None:
        self._deadline_seconds = deadline_seconds
        limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
        self._http = httpx.AsyncClient(trust_env=False, follow_redirects=False, timeout=deadline_seconds, limits=limits)
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def get(self, address: Address, path: str) -> bytes | NoData:
        """Return a page with status 200, or why there is none."""
        try:
            async with self._turn, asyncio.timeout(self._deadline_seconds):
                return await self._body(address.url + path)
        except (TimeoutError, httpx.TimeoutException):
            return NoData(Problem.TIMEOUT, f"{address.pod}: no answer within {self._deadline_seconds:g} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return NoData(Problem.UNREACHABLE, f"{address.pod}: {type(error).__name__}")

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _body(self, url: str) -> bytes:
        body = bytearray()
        async with self._http.stream("GET", url, headers={"accept-encoding": "identity"}) as response:
            response.raise_for_status()
            async for chunk in response.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_BODY:
                    raise httpx.DecodingError("too large")
        return bytes(body)
