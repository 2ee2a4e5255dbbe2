"""The vocabulary of HTTP/1.1 messages: requests, headers and their encoding. No I/O."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from http import HTTPStatus
from typing import Final

# RFC 9110 section 7.6.1: headers that speak about one connection and are never passed on.
HOP_BY_HOP: Final = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_HOP_BY_HOP_BUT_CONNECTION: Final = HOP_BY_HOP - {"connection"}
BODILESS: Final = frozenset({204, 304})

Pair = tuple[str, str]


class Headers:
    """Headers in the order they came, names in lower case, values untouched; `content-length` is not among them.

    Requests with the same head share one object. `notes` is for what its reader has made of it.
    """

    __slots__ = ("_index", "notes", "pairs")

    def __init__(self, pairs: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self.pairs = pairs
        self.notes: object = None
        self._index: dict[bytes, bytes] | None = None

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        return iter(self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def get(self, name: str) -> str | None:
        """Return the first value of a header (`name` in lower case), or None."""
        if self._index is None:
            self._index = dict(reversed(self.pairs))
        value = self._index.get(name.encode("latin-1"))
        return None if value is None else value.decode("latin-1")

    def all(self, name: str) -> list[str]:
        """Return every value of a header, in order."""
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for key, value in self.pairs if key == wanted]

    def decoded(self) -> list[Pair]:
        """Return all headers as text (latin-1, which loses nothing)."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.pairs]

    def end_to_end(self) -> list[Pair]:
        """Return the headers that may be passed on: without hop-by-hop ones and those `Connection` names."""
        return end_to_end(self.decoded())


def end_to_end(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs (lower-case names) without those that belong to one connection."""
    kept = [pair for pair in pairs if pair[0] not in _HOP_BY_HOP_BUT_CONNECTION]
    tokens = [value for name, value in kept if name == "connection"]
    if not tokens:
        return kept
    named = {"connection", *(token.strip().lower() for value in tokens for token in value.split(","))}
    return [pair for pair in kept if pair[0] not in named]


@dataclass(slots=True, init=False)  # decision 21
class Request:
    """One request, read completely; `path` and `query` as they came (still percent-encoded)."""

    method: str
    path: str
    query: str
    headers: Headers
    body: bytes

    def __init__(
        self,
        method: str,
        path: str,
        query: str,
        headers: Headers,
        body: bytes,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = body

    @property
    def target(self) -> str:
        """The origin-form request target: path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path


def split_target(target: bytes) -> tuple[str, str]:
    """Split a request target into path and query; an absolute-form target loses scheme and authority.

    >>> split_target(b"http://host/a?b=1")
    ('/a', 'b=1')
    """
    text = target.decode("latin-1")
    if not text.startswith("/") and "://" in text:
        _, _, rest = text.partition("://")
        slash = rest.find("/")
        text = rest[slash:] if slash >= 0 else "/"
    path, _, query = text.partition("?")
    return path, query


@lru_cache(maxsize=128)
def status_line(status: int) -> bytes:
    """Return the status line of an answer."""
    try:
        return f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
    except ValueError:
        return f"HTTP/1.1 {status} Status\r\n".encode()


def request_line(method: str, target: str) -> bytes:
    """Return the first line of a request.

    Raises:
        ValueError: there is a line break or NUL in it (request splitting).
    """
    line = f"{method} {target} HTTP/1.1"
    if "\r" in line or "\n" in line or "\0" in line:
        raise ValueError("a method or target has a line break or NUL in it")
    return line.encode("latin-1", "replace") + b"\r\n"


def encode_pairs(pairs: Iterable[Pair]) -> bytes:
    """Return the lines of headers, each with its line break.

    Raises:
        ValueError: a name or value has a line break in it (header injection).
    """
    lines = [f"{name}: {value}\r\n" for name, value in pairs]
    text = "".join(lines)
    if text.count("\r") != len(lines) or text.count("\n") != len(lines) or "\0" in text:
        raise ValueError("a header has a line break or NUL in it")
    return text.encode("latin-1", "replace")
