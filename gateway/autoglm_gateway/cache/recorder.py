"""Listens to an answer while it goes to its client."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from autoglm_api import names
from autoglm_gateway.cache.policy import MAX_ANSWER_BYTES
from autoglm_transport.http import Pair
from autoglm_transport.responder import Responder

# Of the answer itself; everything else tells of this one request.
_KEPT: Final = frozenset(
    {"content-type", names.HEADER_REVISION, names.HEADER_PROMPT_TOKENS, names.HEADER_CONFIDENCE, names.HEADER_SIMULATED}
)
# An answer with one of these is not for others, or not readable by everybody.
_NOT_TO_KEEP: Final = frozenset({"content-encoding", "set-cookie", "vary"})


@dataclass(frozen=True, slots=True)
class Recorded:
    """A whole answer."""

    status: int
    headers: tuple[Pair, ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first value of a header, empty when there is none."""
        return next((value for key, value in self.headers if key == name), "")


class Recorder(Responder):
    """A responder that hands everything to another one, and knows the answer afterwards if it is whole and small."""

    __slots__ = ("_headers", "_inner", "_keep", "_parts", "_size", "status", "whole")

    def __init__(self, inner: Responder) -> None:
        self._inner = inner
        self.status = 0  # none yet
        self._headers: tuple[Pair, ...] = ()
        self._parts: list[bytes] = []
        self._size = 0
        self._keep = True
        self.whole = False  # whether its end has come, too

    def answer(self) -> Recorded | None:
        """Return the answer; None when it broke off, is too large, or must not be kept."""
        if not (self.whole and self._keep):
            return None
        return Recorded(self.status, self._headers, b"".join(self._parts))

    async def send(self, status: int, headers: Iterable[Pair] = (), body: bytes = b"") -> None:
        """Pass on and remember a whole answer."""
        pairs = self._began(status, headers)
        self._take(body)
        self.whole = True
        await self._inner.send(status, pairs, body)

    def start(self, status: int, headers: Iterable[Pair] = ()) -> None:
        """Pass on and remember an answer's beginning."""
        self._inner.start(status, self._began(status, headers))

    async def write(self, chunk: bytes) -> None:
        """Pass on and remember a piece."""
        self._take(chunk)
        await self._inner.write(chunk)

    async def end(self) -> None:
        """Pass on and remember the end."""
        self.whole = True
        await self._inner.end()

    def abort(self) -> None:
        """Pass on that the answer broke off."""
        self._keep = False
        self._inner.abort()

    def _began(self, status: int, headers: Iterable[Pair]) -> list[Pair]:
        pairs = list(headers)
        self.status = status
        self._headers = tuple(pair for pair in pairs if pair[0] in _KEPT)
        if any(name in _NOT_TO_KEEP or (name == "cache-control" and _forbids(value)) for name, value in pairs):
            self._keep = False
        return pairs

    def _take(self, chunk: bytes) -> None:
        self._size += len(chunk)
        if self._size > MAX_ANSWER_BYTES:
            self._keep = False
        if self._keep:
            self._parts.append(chunk)
        else:
            self._parts.clear()


def _forbids(value: str) -> bool:
    return any(word in value.lower() for word in ("no-store", "private"))
