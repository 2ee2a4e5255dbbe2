"""A client that costs little: raw HTTP/1.1 over a fixed number of connections, as fast as it goes or at a rate."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, cast

HOST: Final = "127.0.0.1"
KEY: Final = "sk-benchmark-0123456789abcdef"
_SHOP: Final = (
    "Shop list: white table 47 euros, 78 left, 5 days; black bottle 59 euros, 88 left, 5 days; white chair 32 euros, "
    "26 left, 4 days. "
)
_ASK: Final = "i want to buy {number} tables and get a discount of 50 percent. what is the total? Thanks."
_HEADERS: Final = (
    "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\naccept: application/json\r\n"
    f"accept-encoding: identity\r\nauthorization: Bearer {KEY}\r\ncontent-type: application/json\r\n"
    "user-agent: benchmark/1\r\n"
)


def chat(number: int, *, prompt_bytes: int = 300, stream: bool = False, hold: bool = False) -> bytes:
    """Return a chat request; none is like another, so that a cache finds nothing."""
    ask = ("HOLD " if hold else "") + _ASK.format(number=number)
    around = (_SHOP * (prompt_bytes // len(_SHOP) + 1))[: max(0, prompt_bytes - len(ask))]
    content = f"{around} {ask}"
    body = {"model": "shop-assistant", "temperature": 0, "messages": [{"role": "user", "content": content}]}
    text = json.dumps(body | {"stream": True} if stream else body, separators=(",", ":")).encode()
    return f"{_HEADERS}content-length: {len(text)}\r\n\r\n".encode() + text


@dataclass
class Run:
    """What came of a load."""

    latencies: list[float] = field(default_factory=list)
    chunks: int = 0
    seconds: float = 0.0


class _Client(asyncio.Protocol):
    """One connection: sends the next request as soon as the last one is answered and the next one is due."""

    def __init__(self, requests: deque[tuple[float, bytes]], run: Run, done: asyncio.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._requests = requests
        self._run = run
        self._done = done
        self._began = 0.0
        self._tail = b""
        self._left = -1  # bytes of the body; -1: no head yet, -2: a body in chunks
        self.finished = False
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def next(self) -> None:
        """Send the next request when it is due."""
        if not self._requests:
            self.finished = True
            self._done.set()
            return
        due, request = self._requests.popleft()
        if due > time.perf_counter():
            self._loop.call_later(due - time.perf_counter(), self._send, due, request)
        else:
            self._send(due or time.perf_counter(), request)

    def _send(self, due: float, request: bytes) -> None:
        self._began = due
        self._left = -1
        self._tail = b""
        if self.transport is not None:
            self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._run.chunks += data.count(b"data:")
        if self._left == -1:
            data = self._head(self._tail + data)
            if self._left == -1:
                return
        if self._left >= 0:
            self._left -= len(data)
            ended = self._left <= 0
        else:
            self._tail = (self._tail + data)[-5:]
            ended = self._tail == b"0\r\n\r\n"
        if ended:
            self._run.latencies.append(time.perf_counter() - self._began)
            self.next()

    def _head(self, data: bytes) -> bytes:
        """Read status and framing; returns the body's first bytes."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._tail = data
            return b""
        head = data[:end].lower()
        if not head.startswith(b"http/1.1 200"):
            raise RuntimeError(f"answered {data[:300]!r}")
        _, found, length = head.partition(b"\r\ncontent-length:")
        self._left = int(length.partition(b"\r\n")[0]) if found else -2
        self._tail = b""
        return data[end + 4 :]

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.finished:
            self._loop.call_exception_handler({"message": "the target closed a connection", "exception": exc})
            self._done.set()


async def ask_all(port: int, requests: Sequence[bytes], connections: int, per_second: float = 0.0) -> Run:
    """Send all requests; with a rate, each is due at its time and its latency counts from then.

    Raises:
        RuntimeError: an answer is missing or is none.
    """
    loop = asyncio.get_running_loop()
    run, done = Run(), asyncio.Event()
    waiting: deque[tuple[float, bytes]] = deque()
    made = [
        (await loop.create_connection(lambda: _Client(waiting, run, done), HOST, port))[1] for _ in range(connections)
    ]
    began = time.perf_counter()
    waiting.extend((began + n / per_second if per_second else 0.0, one) for n, one in enumerate(requests))
    for client in made:
        client.next()
    while not all(client.finished for client in made):
        await asyncio.wait_for(done.wait(), 120)
        done.clear()
        if any(client.transport is None or client.transport.is_closing() for client in made):
            raise RuntimeError("the target closed a connection")
    run.seconds = time.perf_counter() - began
    for client in made:
        if client.transport is not None:
            client.transport.abort()
    if len(run.latencies) != len(requests):
        raise RuntimeError(f"{len(run.latencies)} of {len(requests)} answers came")
    return run


async def hold_open(port: int, count: int) -> list[asyncio.StreamWriter]:
    """Open streams that have begun and go on; close the writers to end them."""
    writers = []
    for start in range(0, count, 50):
        pairs = await asyncio.gather(
            *(asyncio.open_connection(HOST, port, limit=4096) for _ in range(min(50, count - start)))
        )
        for number, (_, writer) in enumerate(pairs):
            writer.write(chat(start + number, stream=True, hold=True))
        for reader, writer in pairs:
            await asyncio.wait_for(reader.readuntil(b"data:"), 60)
            writers.append(writer)
    return writers
