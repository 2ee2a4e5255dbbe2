"""A replica that answers at once, as cheap as Python can: `python upstream.py` prints its port.

| request                                        | answer                                                            |
|------------------------------------------------|-------------------------------------------------------------------|
| POST without `"stream":true`                   | one JSON body                                                     |
| POST with it                                   | 64 events, 10 ms apart, each in a write of its own                |
| POST with it, and HOLD in the body             | one event, then silence until the client leaves                   |
| GET                                            | 200 and a list of models: what routers ask before they use it     |

Requests are told apart by their bytes; bodies must have a `content-length`. Nothing here is checked: it stands behind
the gateways that are measured.
"""

import asyncio
import re
import sys
from typing import Final, cast

import uvloop

CHUNKS: Final = 64
PAUSE_SECONDS: Final = 0.01
_TEXT: Final = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"shop-assistant","choices":[{"index":0,"message":'
    b'{"role":"assistant","content":"14 euros"},"finish_reason":"stop"}],'
    b'"usage":{"prompt_tokens":60,"completion_tokens":3,"total_tokens":63}}'
)
_MODELS: Final = b'{"object":"list","data":[{"id":"shop-assistant","object":"model","created":1,"owned_by":"us"}]}'
_EVENT: Final = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"shop-assistant",'
    b'"choices":[{"index":0,"delta":{"content":"word "},"finish_reason":null}]}\n\n'
)
_DONE: Final = b"data: [DONE]\n\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)\r\n", re.IGNORECASE)


def _framed(chunk: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(chunk), chunk)


def _whole(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


_ANSWER: Final = _whole(_TEXT)
_LIST: Final = _whole(_MODELS)
_STREAM: Final = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_PIECE: Final = _framed(_EVENT)
_END: Final = _framed(_DONE) + b"0\r\n\r\n"


class Replica(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._got = b""
        self._left = 0
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """End the stream."""
        del exc
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Answer as soon as a request is complete."""
        self._got = self._got + data if self._got else data
        head = self._got.find(b"\r\n\r\n")
        if head < 0:
            return
        length = _LENGTH.search(self._got, 0, head + 2)
        end = head + 4 + (int(length[1]) if length else 0)
        if len(self._got) >= end:
            request, self._got = self._got[:end], self._got[end:]
            self._answer(request)

    def _answer(self, request: bytes) -> None:
        if self._transport is None:
            return
        if not request.startswith(b"POST"):
            self._transport.write(_LIST)
        elif b'"stream":true' in request or b'"stream": true' in request:
            self._transport.write(_STREAM + _PIECE)
            self._left = CHUNKS - 2
            if b"HOLD" not in request:
                self._timer = self._loop.call_later(PAUSE_SECONDS, self._next)
        else:
            self._transport.write(_ANSWER)

    def _next(self) -> None:
        if self._transport is None:
            return
        self._transport.write(_PIECE if self._left else _END)
        if self._left:
            self._left -= 1
            self._timer = self._loop.call_later(PAUSE_SECONDS, self._next)


async def serve() -> None:
    """Serve until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Replica, "127.0.0.1", 0, backlog=4096)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(serve())
