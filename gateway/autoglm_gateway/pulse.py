"""Whether this gateway is alive and ready, told by a thread of its own.

The event loop says ten times a second how it is; the probes of the kubelet are answered from what it said last. So a
gateway that is busy, or that gets little of a crowded processor, is not taken for dead; one whose loop stands still is.
"""

import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from time import monotonic
from typing import Final

from autoglm_api import names

DEAD_SECONDS: Final = 60.0
"""So long may the event loop stand still before the gateway is to be restarted."""
UNREADY_SECONDS: Final = 15.0
"""So long before new queries had better go to another gateway."""
_CLIENT_SECONDS: Final = 2.0

# Whether all is well, and a line that says what is missing.
Verdict = tuple[bool, str]


class Pulse:
    """What the event loop said last; times are those of one monotonic clock, in seconds."""

    def __init__(self, now: float) -> None:
        # One tuple, replaced as a whole: another thread reads it.
        self._last: tuple[float, bool, str] = (now, False, "starting")

    def beat(self, now: float, ready: bool, message: str) -> None:  # noqa: FBT001 - a verdict, as Verdict has it
        """Note that the event loop runs, and whether the gateway is ready."""
        self._last = (now, ready, message)

    def alive(self, now: float) -> Verdict:
        """Return whether the event loop ran lately."""
        still = now - self._last[0]
        return (True, "alive") if still <= DEAD_SECONDS else (False, f"the event loop stands still for {still:.0f} s")

    def ready(self, now: float) -> Verdict:
        """Return what the event loop said of being ready, unless that is long ago."""
        at, ready, message = self._last
        if ready and now - at > UNREADY_SECONDS:
            return False, f"the event loop stands still for {now - at:.0f} s"
        return ready, message


class ProbeServer:
    """Answers the kubelet's probes (/healthz, /readyz) in threads; `start`, then `stop`."""

    def __init__(self, pulse: Pulse) -> None:
        self._answers = {names.PATH_HEALTHZ: pulse.alive, names.PATH_READYZ: pulse.ready}
        self._server: ThreadingHTTPServer | None = None

    def start(self, host: str, port: int) -> int:
        """Listen on an address (empty: all of both families); returns the bound port. Raises OSError."""
        server = _Server((host, port), _handler(self._answers), bind_and_activate=False)
        server.socket.close()
        server.socket = _listener(host, port)
        self._server = server
        Thread(target=server.serve_forever, name="probes", daemon=True).start()
        return int(server.socket.getsockname()[1])

    def stop(self) -> None:
        """Stop listening; answers under way end by themselves."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of a prober that went away or was too slow."""


def _listener(host: str, port: int) -> socket.socket:
    if host or not socket.has_dualstack_ipv6():
        return socket.create_server((host or "0.0.0.0", port))  # noqa: S104 - as asked
    return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)


def _handler(answers: Mapping[str, Callable[[float], Verdict]]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        timeout = _CLIENT_SECONDS

        def do_GET(self) -> None:
            verdict = answers.get(self.path)
            if verdict is None:
                self.send_error(HTTPStatus.NOT_FOUND)
                return
            well, message = verdict(monotonic())
            body = f"{message}\n".encode()
            self.send_response(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE)
            self.send_header("content-type", "text/plain; charset=utf-8")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's signature
            """Probes come every two seconds: nothing of them is worth a line."""

    return Handler
