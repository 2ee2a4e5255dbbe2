"""Redis' protocol (RESP 2) as far as GET, SET, AUTH and SELECT need it. Pure."""

from collections.abc import Iterator
from typing import Final

_LINE: Final = b"\r\n"
_MAX_LINE: Final = 1024
_MAX_BULK: Final = 1_048_576

Reply = bytes | None | Exception


class ProtocolError(Exception):
    """What came is not RESP, or larger than anything that we have stored."""


class ReplyError(Exception):
    """Redis answered with an error; the text is its first word, because the rest may quote what we sent."""


def command(*words: bytes | str | int) -> bytes:
    """Return a command as Redis reads it."""
    encoded = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    parts = [b"*%d\r\n" % len(encoded)]
    parts += [b"$%d\r\n%b\r\n" % (len(word), word) for word in encoded]
    return b"".join(parts)


class Parser:
    """Cuts what comes from the socket into replies."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Reply]:
        """Yield every whole reply; raises ProtocolError, after which the connection is of no use."""
        self._data += data
        while (found := self._next()) is not None:
            reply, end = found
            del self._data[:end]
            yield reply

    def _next(self) -> tuple[Reply, int] | None:
        end = self._data.find(_LINE)
        if end < 0:
            if len(self._data) > _MAX_LINE:
                raise ProtocolError("an endless line")
            return None
        kind, line, after = bytes(self._data[:1]), bytes(self._data[1:end]), end + len(_LINE)
        if kind == b"$":
            return self._bulk(line, after)
        if kind in {b"+", b":"}:
            return line, after
        if kind == b"-":
            return ReplyError(line.split(b" ")[0].decode("latin-1")), after
        raise ProtocolError(f"a reply of kind {kind!r}")

    def _bulk(self, line: bytes, start: int) -> tuple[Reply, int] | None:
        if line == b"-1":
            return None, start
        if not line.isdigit() or len(line) > len(str(_MAX_BULK)) or int(line) > _MAX_BULK:
            raise ProtocolError("a text of a wrong length")
        end = start + int(line)
        if len(self._data) < end + len(_LINE):
            return None
        if self._data[end : end + len(_LINE)] != _LINE:
            raise ProtocolError("a text without its end")
        return bytes(self._data[start:end]), end + len(_LINE)
