"""The heads of requests that were accepted lately: the same bytes are not parsed twice. No I/O."""

from dataclasses import dataclass
from typing import Final

from autoglm_transport.http import Headers, Request

MAX_REMEMBERED_BYTES: Final = 4096  # of one head
_MAX_REMEMBERED: Final = 1024  # so all of them take a few MB
# What changes how a message goes on after its head; such ones are parsed every time.
_NOT_REMEMBERED: Final = frozenset({b"expect", b"transfer-encoding", b"upgrade", b"trailer"})
# Without its length of the body, a head that has one of these might read as another one.
_FOLDED: Final = (b"\r\n ", b"\r\n\t")


@dataclass(slots=True, init=False)  # decision 21
class Incoming:
    """A complete request and what its version says about the connection."""

    request: Request
    keep_alive: bool
    http10: bool

    def __init__(self, request: Request, *, keep_alive: bool, http10: bool) -> None:
        self.request = request
        self.keep_alive = keep_alive
        self.http10 = http10


@dataclass(slots=True)
class Head:
    """A head that was accepted; requests with it share its headers."""

    method: str
    path: str
    query: str
    headers: Headers
    keep_alive: bool

    def request(self, body: bytes) -> Incoming:
        """Return a request with this head."""
        return Incoming(
            Request(self.method, self.path, self.query, self.headers, body), keep_alive=self.keep_alive, http10=False
        )


class Heads:
    """Heads by their bytes without the line of `Content-Length`; the connections of a server share them."""

    __slots__ = ("_known", "get")

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}
        self.get = self._known.get
        """Return the head with these bytes, or None."""

    def __len__(self) -> int:
        return len(self._known)

    def remember(self, key: bytes, incoming: Incoming) -> None:
        """Keep the head of a request, unless it is of a rare kind; the one kept first goes when there are too many."""
        request = incoming.request
        if incoming.http10 or any(fold in key for fold in _FOLDED) or not key[:1].isalpha():
            return
        if not _NOT_REMEMBERED.isdisjoint(name for name, _ in request.headers):
            return
        if len(self._known) >= _MAX_REMEMBERED:
            del self._known[next(iter(self._known))]
        self._known[key] = Head(request.method, request.path, request.query, request.headers, incoming.keep_alive)
