"""An HTTP/1.1 server at protocol level: limits, timeouts, keep-alive, pipelining, drain."""

import asyncio
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, Final

from autoglm_transport.connection import Connection
from autoglm_transport.heads import Heads
from autoglm_transport.http import Request
from autoglm_transport.limits import Limits
from autoglm_transport.responder import Responder

Handler = Callable[[Request, Responder], Awaitable[None]]
# Returns what is to be awaited as a task; or None, and then says `responder.done()` when it is through.
QuickHandler = Callable[[Request, Responder], Awaitable[None] | None]
RefusalBody = Callable[[int, str, str], bytes]

_TICK_SECONDS: Final = 0.25
_BACKLOG: Final = 2048


def plain_refusal(status: int, message: str, path: str) -> bytes:
    """Return the JSON body of an answer that the server itself gives (status, message, path if known)."""
    del status, path
    return json.dumps({"error": message}).encode()


def _everywhere(port: int) -> socket.socket:
    """Return a socket on all addresses: of both families where the kernel has both, else of IPv4."""
    if not socket.has_dualstack_ipv6():
        return socket.create_server(("0.0.0.0", port), backlog=_BACKLOG)  # noqa: S104 - as asked
    return socket.create_server(("::", port), family=socket.AF_INET6, backlog=_BACKLOG, dualstack_ipv6=True)


class HttpServer:
    """Calls `handler` for every request; what it returns is run as a task that is cancelled when the client leaves.

    A handler may also return None and answer by callbacks (see `responder`), which costs no task.

    `refusal_body(status, message, path)` writes the JSON body of what the server refuses by itself.
    """

    def __init__(self, handler: QuickHandler, limits: Limits, *, refusal_body: RefusalBody = plain_refusal) -> None:
        self.handler = handler
        self.limits = limits
        self.refusal_body = refusal_body
        self.heads = Heads()
        self.keeps_alive = True
        self.accepts = True
        self.in_flight = 0
        self._held_bytes = 0
        self._connections: set[Connection] = set()
        self._listeners: list[asyncio.Server] = []
        self._quiet: asyncio.Event | None = None
        self._gone: asyncio.Event | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def start(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> int:
        """Listen; returns the bound port (of use when `port` is 0). Raises OSError when it cannot.

        An empty `host` is every address of IPv4 and IPv6. With `tls`, every client must speak it, and its handshake
        must end within the time for a request's headers.
        """
        loop = asyncio.get_running_loop()
        where: dict[str, Any] = {"host": host, "port": port} if host else {"sock": _everywhere(port)}
        if tls is not None:
            where |= {"ssl": tls, "ssl_handshake_timeout": self.limits.header_timeout_seconds}
        listener: Any = await loop.create_server(lambda: Connection(self), backlog=_BACKLOG, **where)
        self._listeners.append(listener)
        if self._timer is None:
            self._tick()
        return int(listener.sockets[0].getsockname()[1])

    def stop_keepalive(self) -> None:
        """Let every answer from now on close its connection, so that clients move elsewhere.

        A client whose last answer could not tell it so (a stream that began earlier) may already be sending its next
        request: its connection stays open for that one.
        """
        self.keeps_alive = False

    def stop_accepting(self) -> None:
        """Close the listening sockets and connections that are idle for a while; requests under way go on."""
        self.keeps_alive = False
        self.accepts = False
        for listener in self._listeners:
            listener.close()
        now = asyncio.get_running_loop().time()
        for connection in list(self._connections):
            connection.check_time(now)

    async def drain(self, deadline_seconds: float) -> int:
        """Wait until nothing is being read or answered and no client may still be about to send on its connection.

        Returns how many requests are left at the deadline.
        """
        self._quiet = asyncio.Event()
        self._check_quiet()
        try:
            async with asyncio.timeout(deadline_seconds):
                await self._quiet.wait()
        except TimeoutError:
            return self._busy()
        return 0

    async def close(self) -> None:
        """Stop listening and cut every connection; handlers in flight are cancelled."""
        self.stop_accepting()
        for connection in list(self._connections):
            connection.abort()
        if self._timer is not None:
            self._timer.cancel()
        self._gone = asyncio.Event()
        self._check_quiet()
        await self._gone.wait()

    def _busy(self) -> int:
        return sum(not connection.is_idle for connection in self._connections)

    def _all_settled(self) -> bool:
        now = asyncio.get_running_loop().time()
        return all(connection.is_settled(now) for connection in self._connections)

    def _check_quiet(self) -> None:
        if self._quiet is not None and self.in_flight == 0 and (not self._connections or self._all_settled()):
            self._quiet.set()
        if self._gone is not None and self.in_flight == 0 and not self._connections:
            self._gone.set()

    def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        for connection in list(self._connections):
            connection.check_time(now)
        self._shed_idle(len(self._connections) - self.limits.max_connections)
        self._check_quiet()
        self._timer = loop.call_later(_TICK_SECONDS, self._tick)

    def _shed_idle(self, excess: int) -> None:
        """Close idle connections when fewer are allowed than before."""
        if excess > 0:
            for connection in [one for one in self._connections if one.is_idle][:excess]:
                connection.abort()

    # --- for connections --------------------------------------------------------------------------
    def answer(self, request: Request, responder: Responder) -> Awaitable[None] | None:
        """Let the handler answer, or refuse a request whose body would take too much memory with those at hand."""
        size = len(request.body)
        if size and self._held_bytes > size and self._held_bytes > self.limits.max_held_bytes:
            body = self.refusal_body(503, "too many large requests at once; try again in a moment", request.path)
            responder.send_now(503, [("content-type", "application/json"), ("retry-after", "1")], body)
            responder.done()
            return None
        return self.handler(request, responder)

    def opened(self, connection: Connection) -> bool:
        """Note a new connection; False when there are too many."""
        self._connections.add(connection)
        return len(self._connections) <= self.limits.max_connections

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self._connections.discard(connection)
        self._check_quiet()

    def begun(self, size: int) -> None:
        """Count a request that is handed to the handler, and the bytes of its body."""
        self.in_flight += 1
        self._held_bytes += size

    def ended(self, size: int) -> None:
        """Count a request that is over."""
        self.in_flight -= 1
        self._held_bytes -= size
        if self._quiet is not None or self._gone is not None:
            self._check_quiet()
