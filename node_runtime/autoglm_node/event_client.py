"""The CPU engine as the front asks it for text: one HTTP request per query, whose answer is a stream of events.

By gRPC, a query costs our process several times as much: for each message its library wakes the event loop from a
thread of its own. Triton sees that a connection was closed only when it writes to it, which it may not do for a long
time; so a query that is given up is cancelled by another request, which names it.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final, Self
from urllib.parse import quote

import orjson

from autoglm_node.events import EventBody, asked, cancelled, heard
from autoglm_node.failure import EngineError
from autoglm_node.query import Generation, Piece
from autoglm_node.settings import TRITON_HOST, TritonPorts
from autoglm_node.triton_client import TextModel, unreadable
from autoglm_transport.client import Address, UpstreamPool, message_of
from autoglm_transport.errors import NoAnswerError, UpstreamError
from autoglm_transport.exchange import UpstreamConnection

log = logging.getLogger(__name__)

CANCEL_SECONDS: Final = 5.0
_NEVER_SECONDS: Final = 1e9  # deadlines are the admission's, a dead engine is the canary's to notice
_OK: Final = 200


class EventClient(TextModel):
    """A model of the CPU engine that writes text."""

    def __init__(self, ports: TritonPorts, model: str) -> None:
        """Speak to Triton on these ports of loopback about `model`."""
        super().__init__(ports.grpc_address, model)
        self._address = (TRITON_HOST, ports.http)
        self._target = f"/v2/models/{quote(model, safe='')}/generate_stream"
        self._pool = UpstreamPool(connect_seconds=1.0, stall_seconds=None)
        self._numbers = itertools.count(1)
        self._cancelling: set[asyncio.Task[None]] = set()

    async def generate(self, generation: Generation) -> AsyncGenerator[Piece, None]:
        """Yield the pieces of a reply; the last one says why it ended. Closing the iterator cancels the engine."""
        number, finished = next(self._numbers), False
        try:
            with await self._asked(asked(number, generation)) as answer:
                while (event := await answer.event()) is not None:
                    self.responses_seen += 1
                    piece = _read(event)
                    finished = bool(piece.finish)
                    yield piece
            if not finished:
                raise EngineError("the stream from Triton ended before the reply did")
        except UpstreamError as error:
            raise EngineError(f"the stream to Triton broke: {error}") from None
        finally:
            if not finished:
                self._cancel(number)

    async def close(self) -> None:
        """Close the connections."""
        for task in self._cancelling.copy():
            task.cancel()
        await asyncio.gather(*self._cancelling, return_exceptions=True)
        await self._pool.close()
        await super().close()

    async def _asked(self, body: bytes) -> "_Answer":
        """Send a request; return its answer once the first bytes of it are here."""
        message = message_of(*self._address, "POST", self._target, b"", body)
        if (connection := self._pool.idle(self._address)) is not None:
            try:
                return await self._begun(connection, message)
            except NoAnswerError:  # it was closed a moment ago
                log.debug("a connection to Triton had been closed")
        return await self._begun(await self._pool.connect(self._address), message)

    async def _begun(self, connection: UpstreamConnection, message: bytes) -> "_Answer":
        answer = _Answer(self._pool, connection, self._address)
        self._pool.begin(connection, message, answer, _NEVER_SECONDS)
        try:
            await answer.begun()
        except BaseException:
            answer.close()
            raise
        return answer

    def _cancel(self, number: int) -> None:
        task = asyncio.get_running_loop().create_task(self._tell_cancelled(number))
        self._cancelling.add(task)
        task.add_done_callback(self._cancelling.discard)

    async def _tell_cancelled(self, number: int) -> None:
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                with await self._asked(cancelled(number)) as answer:
                    await answer.event()
        except (EngineError, UpstreamError, TimeoutError) as error:  # of an engine that is dead or being replaced
            log.debug("query %d was not cancelled: %s", number, error)


class _Answer:
    """The events of one answer as they come. Leaving it before its end cuts the connection."""

    def __init__(self, pool: UpstreamPool, connection: UpstreamConnection, address: Address) -> None:
        self._pool = pool
        self._connection = connection
        self._address = address
        self._body = EventBody()
        self._events: deque[bytes] = deque()
        self._refusal = b""
        self._news: asyncio.Future[None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back, or cut it when the answer is not complete."""
        self._connection.leave()
        self._pool.release(self._connection, self._address)

    def moved(self) -> None:
        """Wake who waits; called when something of the answer has come."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def begun(self) -> None:
        """Return when status and headers are here; UpstreamError when they do not come."""
        while not self._connection.status:
            if self._connection.error is not None:
                raise self._connection.error
            await self._more()

    async def event(self) -> dict[str, Any] | None:
        """Return the next event, None at the end; UpstreamError or EngineError when there will be none."""
        while not self._events:
            over = self._connection.complete or self._connection.error is not None
            piece = self._connection.take_all()
            if self._connection.status == _OK:
                self._events += self._body.feed(piece)
            else:
                self._refusal += piece
            if self._events:
                break
            if over:
                self._check_end()
                return None
            await self._more()
        return _parsed(self._events.popleft())

    def _check_end(self) -> None:
        if self._connection.error is not None:
            raise self._connection.error
        if self._connection.status != _OK:
            raise EngineError(_told(self._connection.status, self._refusal))
        if not self._body.complete:
            raise EngineError("the stream from Triton ended within an event")

    async def _more(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        await self._news


def _parsed(event: bytes) -> dict[str, Any]:
    try:
        parsed: dict[str, Any] = orjson.loads(event)
    except orjson.JSONDecodeError as error:
        raise unreadable(error) from error
    if "error" in parsed:
        raise EngineError(str(parsed["error"]))
    return parsed


def _read(event: Mapping[str, Any]) -> Piece:
    try:
        return heard(event)
    except (KeyError, TypeError, ValueError) as error:
        raise unreadable(error) from error


def _told(status: int, body: bytes) -> str:
    try:
        return str(orjson.loads(body)["error"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return f"Triton answered with status {status}"
