"""Reads requests from bytes: httptools does the grammar, this adds limits and what a gateway must refuse. No I/O.

A keep-alive client sends the same head again and again, with another `Content-Length` at most. A head that httptools
has accepted is remembered (`heads`), and the next one with the same bytes is not parsed again; its body is as long as
its own length says. Nothing is taken for known that differs in one byte elsewhere, so what is refused stays refused.
"""

import re
from collections import deque
from enum import Enum
from typing import Any, Final

import httptools

from autoglm_transport.heads import MAX_REMEMBERED_BYTES, Head, Heads, Incoming
from autoglm_transport.http import Headers, Request, split_target
from autoglm_transport.limits import Limits

# More unanswered requests than this on one connection is no client we know; it bounds their memory.
MAX_PIPELINED: Final = 128
_MAX_DIGITS: Final = 19
_MAX_KNOWN_DIGITS: Final = 9
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,%d})\r\n" % _MAX_KNOWN_DIGITS)


class Phase(Enum):
    """Where in a message the reader is."""

    BETWEEN = "between"
    HEAD = "head"
    BODY = "body"


class RefusedError(Exception):
    """The bytes are no request that may be served; the connection is not usable any more."""

    def __init__(self, status: int, message: str, path: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.path = path


class RequestReader:
    """Feeds on bytes and fills `complete`; raises RefusedError for what must not be served."""

    def __init__(self, limits: Limits, heads: Heads | None = None) -> None:
        self.complete: deque[Incoming] = deque()
        self._heads = Heads() if heads is None else heads
        self._unknown = b""  # the head that httptools reads now, to be remembered when it is accepted
        self._last: Head | None = None  # the remembered head that came last, and its bytes around the length
        self._before = self._after = b""
        self._known: Head | None = None  # the head of a body that is on its way
        self._missing = 0  # bytes of that body
        self.phase = Phase.BETWEEN
        self.expects_continue = False
        self._limits = limits
        self._parser: Any = httptools.HttpRequestParser(self)
        self._raw_bytes = 0  # of the message that is being read
        self._reset()

    def _reset(self) -> None:
        self._target = b""
        self._pairs: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._header_bytes = 0

    def feed(self, data: bytes) -> None:
        """Read some bytes.

        Raises:
            RefusedError: with the status to answer; later bytes of this connection mean nothing.
        """
        if self._known is not None:
            data = self._more_of_body(self._known, data)
        if self.phase is Phase.BETWEEN and data:
            data = self._read_known(data)
        if data:
            self._parse(data)

    def _read_known(self, data: bytes) -> bytes:
        """Take requests with remembered heads off the front; returns the bytes that httptools has to read."""
        while len(self.complete) < MAX_PIPELINED:
            self._unknown = b""
            begin, size = self._same_as_last(data)
            if not begin:
                begin, size = self._look_up(data)
            head = self._last
            if not begin or head is None:
                return data
            stop = begin + size
            if stop > len(data):
                self._known, self._missing = head, stop - len(data)
                self._body = [data[begin:]]
                self.phase = Phase.BODY
                return b""
            self.complete.append(head.request(data[begin:stop]))
            if stop == len(data):
                return b""
            data = data[stop:]
        return data

    def _same_as_last(self, data: bytes) -> tuple[int, int]:
        """Return where the body begins and its length when the head is the last one, but for that length; else 0, 0."""
        if self._last is None or not data.startswith(self._before):
            return 0, 0
        place = len(self._before)
        end = data.find(b"\r", place, place + _MAX_KNOWN_DIGITS + 1)
        digits = data[place:end] if end > 0 else b""
        if not digits.isdigit() or not data.startswith(self._after, end):
            return 0, 0
        begin, size = end + len(self._after), int(digits)
        return (begin, size) if self._is_allowed(begin - 4, size) else (0, 0)

    def _look_up(self, data: bytes) -> tuple[int, int]:
        """Return the same when the head is any of those that are remembered."""
        end = data.find(b"\r\n\r\n", 0, MAX_REMEMBERED_BYTES)
        length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
        if length is None:
            return 0, 0
        key = data[: length.start()] + data[length.end() - 2 : end]
        head = self._heads.get(key)
        size = int(length[1])
        if head is None or not self._is_allowed(end, size):
            self._unknown = key
            return 0, 0
        self._last = head
        self._before, self._after = data[: length.start(1)], data[length.end(1) : end + 4]
        return end + 4, size

    def _is_allowed(self, head_bytes: int, body_bytes: int) -> bool:
        return head_bytes <= self._limits.max_header_bytes and body_bytes <= self._limits.max_body_bytes

    def _more_of_body(self, head: Head, data: bytes) -> bytes:
        """Take more of the body of a remembered head; returns what follows it."""
        piece, rest = data[: self._missing], data[self._missing :]
        self._body.append(piece)
        self._missing -= len(piece)
        if not self._missing:
            self.complete.append(head.request(b"".join(self._body)))
            self._body = []
            self._known = None
            self.phase = Phase.BETWEEN
        return rest

    def _remember(self, incoming: Incoming) -> None:
        key, self._unknown = self._unknown, b""
        self._heads.remember(key, incoming)

    def _parse(self, data: bytes) -> None:
        self._raw_bytes += len(data)
        upgraded_at: int | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # Read on outside of this block: within it, httptools' next error would have this one as its context.
            upgraded_at = upgrade.args[0]
        except httptools.HttpParserCallbackError as error:
            if isinstance(error.__context__, RefusedError):
                raise error.__context__ from None
            raise
        except httptools.HttpParserError as error:
            raise self._malformed(error) from None
        if upgraded_at is not None:
            self._ignore_upgrade(data[upgraded_at:])
        self._check_unfinished()

    def _malformed(self, error: Exception) -> RefusedError:
        # httptools answers for some targets before the head's size could be seen to be too large.
        if self.phase is Phase.HEAD and self._raw_bytes > self._limits.max_header_bytes:
            return RefusedError(431, "request line and headers are too large", self._path())
        return RefusedError(400, f"malformed request: {error}", self._path())

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Serve the request as if it had not asked for another protocol (RFC 9110 section 7.8).

        httptools takes such a request for one without a body, and what follows for another protocol. Its head is read
        anew without the header, or its body would be read as the next request (some clients ask with every POST).
        """
        asking = self.complete.pop()
        if asking.request.method == "CONNECT":
            raise RefusedError(405, "CONNECT is not served here")
        self._parser = httptools.HttpRequestParser(self)
        self._raw_bytes = 0
        self._parse(_without_upgrade(asking, self._target, self._pairs) + rest)

    def _check_unfinished(self) -> None:
        if self.phase is Phase.HEAD and self._raw_bytes > self._limits.max_header_bytes:
            raise RefusedError(431, "request line and headers are too large", self._path())
        if self.phase is Phase.BODY and self._raw_bytes > self._limits.raw_body_bytes():
            raise RefusedError(413, "the body's framing is too large", self._path())

    def _path(self) -> str:
        return split_target(self._target)[0]

    # --- callbacks of httptools -------------------------------------------------------------------
    def on_message_begin(self) -> None:
        """A new message starts."""
        self._reset()
        self.phase = Phase.HEAD
        if len(self.complete) >= MAX_PIPELINED:
            raise RefusedError(400, "too many pipelined requests")

    def on_url(self, url: bytes) -> None:
        """A piece of the request target."""
        self._target += url
        self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that comes after the body (a trailer) is dropped."""
        self._count(len(name) + len(value) + 4)
        if self.phase is not Phase.HEAD:
            return
        self._pairs.append((name.lower(), value))
        if len(self._pairs) > self._limits.max_headers:
            raise RefusedError(431, f"more than {self._limits.max_headers} headers", self._path())

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > self._limits.max_header_bytes:
            raise RefusedError(431, "request line and headers are too large", self._path())

    def on_headers_complete(self) -> None:
        """All headers are here: refuse now what should not even send its body."""
        headers = Headers(self._pairs)
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise RefusedError(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        if version == "1.0" and headers.get("transfer-encoding") is not None:
            raise RefusedError(400, "HTTP/1.0 knows no Transfer-Encoding", self._path())
        if len(headers.all("host")) != 1 and (version == "1.1" or headers.all("host")):
            raise RefusedError(400, "exactly one Host header is needed", self._path())
        self._check_length(headers.get("content-length"))
        self._check_expectation(headers.get("expect"))
        self.phase = Phase.BODY

    def _check_length(self, length: str | None) -> None:
        # The digits are counted first, as Python refuses to read a number of thousands of them.
        if length is not None and (len(length) > _MAX_DIGITS or int(length) > self._limits.max_body_bytes):
            raise self._too_large()

    def _too_large(self) -> RefusedError:
        return RefusedError(413, f"the body is larger than {self._limits.max_body_bytes} bytes", self._path())

    def _check_expectation(self, expectation: str | None) -> None:
        if expectation is None:
            return
        if expectation.lower() != "100-continue":
            raise RefusedError(417, "only the expectation 100-continue is known", self._path())
        self.expects_continue = True

    def on_body(self, piece: bytes) -> None:
        """A piece of the body; chunked bodies are measured here."""
        self._body_bytes += len(piece)
        if self._body_bytes > self._limits.max_body_bytes:
            raise self._too_large()
        self._body.append(piece)

    def on_message_complete(self) -> None:
        """The request is complete."""
        path, query = split_target(self._target)
        method = self._parser.get_method().decode("latin-1")
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        # The length of the body is told by the body: the same head may come with another one.
        headers = Headers([pair for pair in self._pairs if pair[0] != b"content-length"])
        incoming = Incoming(
            Request(method, path, query, headers, body),
            keep_alive=self._parser.should_keep_alive(),
            http10=self._parser.get_http_version() == "1.0",
        )
        self.complete.append(incoming)
        if self._unknown:
            self._remember(incoming)
        self.phase = Phase.BETWEEN
        self.expects_continue = False
        self._raw_bytes = 0


def _without_upgrade(asking: Incoming, target: bytes, pairs: list[tuple[bytes, bytes]]) -> bytes:
    """Return the head of a request without its `Upgrade` header; names and values as they came."""
    version = b"1.0" if asking.http10 else b"1.1"
    lines = [b"%b %b HTTP/%b" % (asking.request.method.encode("latin-1"), target, version)]
    lines += [b"%b: %b" % pair for pair in pairs if pair[0] != b"upgrade"]
    return b"\r\n".join(lines) + b"\r\n\r\n"
