"""The answer of an upstream, for callers that wait for it."""

from collections.abc import AsyncIterator, Callable
from typing import Self

from autoglm_transport.errors import BrokenAnswerError
from autoglm_transport.exchange import UpstreamConnection


class UpstreamResponse:
    """An answer whose status and headers are here; the body is read with `chunks` or `read`.

    Close it (or use it as an async context manager) on every path: an answer that is closed before its end closes
    the upstream connection, a finished one gives it back to the pool.
    """

    __slots__ = ("_connection", "_release", "_stall_seconds", "headers", "status")

    def __init__(
        self,
        connection: UpstreamConnection,
        release: Callable[[UpstreamConnection], None],
        stall_seconds: float | None,
    ) -> None:
        self._connection = connection
        self._release: Callable[[UpstreamConnection], None] | None = release
        self._stall_seconds = stall_seconds
        self.status = connection.status
        self.headers = connection.headers

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def whole_body(self) -> bytes | None:
        """Return the body if all of it is here already, otherwise None (and nothing is taken)."""
        return self._connection.take_all() if self._connection.complete else None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body's bytes as they come, chunk framing removed.

        Raises:
            BrokenAnswerError: the body did not end as announced, or stalled.
        """
        while True:
            self._connection.allow_silence(self._stall_seconds)
            chunk = await self._connection.next_chunk()
            if chunk is None:
                return
            yield chunk

    async def read(self, max_bytes: int) -> bytes:
        """Return the whole body; raises BrokenAnswerError when it is broken or larger than `max_bytes`."""
        parts: list[bytes] = []
        total = 0
        async for chunk in self.chunks():
            total += len(chunk)
            if total > max_bytes:
                raise BrokenAnswerError(f"the answer is larger than {max_bytes} bytes")
            parts.append(chunk)
        return b"".join(parts)

    def close(self) -> None:
        """Give the connection back, or cut it when the answer is not finished; safe to call twice."""
        release, self._release = self._release, None
        if release is not None:
            release(self._connection)
