"""Listens to an answer while it goes to its client."""

from dataclasses import dataclass
from typing import Final

from autoglm_api import names
from autoglm_gateway.cache.policy import MAX_ANSWER_BYTES
from autoglm_transport.http import Headers, Pair

# Of the answer itself; everything else tells of this one request.
_KEPT: Final = frozenset(
    name.encode()
    for name in (
        "content-type",
        names.HEADER_REVISION,
        names.HEADER_PROMPT_TOKENS,
        names.HEADER_CONFIDENCE,
        names.HEADER_SIMULATED,
    )
)
# An answer with one of these is not for others, or not readable by everybody.
_NOT_TO_KEEP: Final = frozenset({b"content-encoding", b"set-cookie", b"vary"})


@dataclass(frozen=True, slots=True)
class Recorded:
    """A whole answer."""

    status: int
    headers: tuple[Pair, ...]
    body: bytes

    def header(self, name: str) -> str:
        """Return the first value of a header, empty when there is none."""
        return next((value for key, value in self.headers if key == name), "")


class Recorder:
    """Knows an answer after it has gone to its client, if it is whole and small."""

    __slots__ = ("_headers", "_keep", "_parts", "_size", "status", "whole")

    def __init__(self) -> None:
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

    def began(self, status: int, headers: Headers) -> None:
        """Remember an answer's beginning."""
        self.status = status
        kept = []
        for name, value in headers.pairs:
            if name in _KEPT:
                kept.append((name.decode("latin-1"), value.decode("latin-1")))
            elif name in _NOT_TO_KEEP or (name == b"cache-control" and _forbids(value)):
                self._keep = False
        self._headers = tuple(kept)

    def took(self, chunk: bytes) -> None:
        """Remember a piece."""
        self._size += len(chunk)
        if self._size > MAX_ANSWER_BYTES:
            self._keep = False
        if self._keep:
            self._parts.append(chunk)
        else:
            self._parts.clear()

    def ended(self) -> None:
        """Remember that it is whole."""
        self.whole = True


def _forbids(value: bytes) -> bool:
    return any(word in value.lower() for word in (b"no-store", b"private"))
