"""One kept answer, and how it is written outside of this process. Pure: time is an argument (seconds since 1970)."""

import hmac
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

import orjson

from autoglm_transport.http import Pair

_MAC_BYTES: Final = 16
_OVERHEAD_BYTES: Final = 600  # of the objects around an answer's bytes, measured


@dataclass(frozen=True, slots=True)
class Entry:
    """An answer as the replica gave it; `tokens` is what it took to make it, prompt included."""

    body: bytes
    headers: tuple[Pair, ...]
    stream: bool
    tokens: int
    stored_at: float

    @property
    def size(self) -> int:
        """The memory it takes, in bytes."""
        return len(self.body) + _OVERHEAD_BYTES

    def age(self, now: float) -> float:
        """Return the seconds since it was stored; never negative, because clocks of gateways differ."""
        return max(0.0, now - self.stored_at)


def written(entry: Entry, key: bytes, secret: bytes) -> bytes:
    """Return the entry as bytes, signed together with its key.

    Whoever can write to the store but does not know the secret can neither forge an answer nor move one to another key.
    """
    head = orjson.dumps([entry.stored_at, entry.tokens, entry.stream, entry.headers])
    text = head + b"\n" + entry.body
    return _signature(text, key, secret) + text


def read(raw: bytes, key: bytes, secret: bytes) -> Entry | None:
    """Return the entry that was written under this key; None for anything else."""
    text = raw[_MAC_BYTES:]
    if not hmac.compare_digest(raw[:_MAC_BYTES], _signature(text, key, secret)):
        return None
    head, _, body = text.partition(b"\n")
    stored_at, tokens, stream, headers = orjson.loads(head)
    return Entry(body, tuple((name, value) for name, value in headers), stream, tokens, stored_at)


def _signature(text: bytes, key: bytes, secret: bytes) -> bytes:
    return blake2b(key + text, key=secret, digest_size=_MAC_BYTES, person=b"autoglm-entry").digest()
