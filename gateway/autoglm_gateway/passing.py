"""Which headers are passed on, in both directions. Pure, but for the making of identifiers."""

from collections.abc import Iterable
from dataclasses import dataclass
from random import randbytes
from typing import Final

from autoglm_api import names
from autoglm_api.keys import Tier
from autoglm_transport.http import HOP_BY_HOP, Headers, Pair, encode_pairs

# Credentials and cookies are for the gateway; a replica has no use for them.
_NOT_FOR_REPLICAS: Final = frozenset(
    {"host", "content-length", "expect", "forwarded", "authorization", "cookie", "x-real-ip"}
    | {names.HEADER_REQUEST_ID, names.HEADER_TRACEPARENT}
)
_NOT_FOR_CLIENTS: Final = HOP_BY_HOP | {"content-length", names.HEADER_REQUEST_ID}
_TOLD_TO_CLIENTS: Final = frozenset(
    {names.HEADER_REVISION, names.HEADER_PROMPT_TOKENS, names.HEADER_CONFIDENCE, names.HEADER_SIMULATED}
)
_CLOSE_OR_KEEP: Final = frozenset({b"close", b"keep-alive"})
_MAX_NAMES: Final = 1024
_goes_back: dict[bytes, bool] = {}  # by a header's name; replicas have few


@dataclass(slots=True, init=False)  # decision 21
class Trace:
    """The identity of a request: what the client sent if it is well-formed, else made here."""

    request_id: str
    traceparent: str

    def __init__(
        self,
        request_id: str,
        traceparent: str,
    ) -> None:
        self.request_id = request_id
        self.traceparent = traceparent


def trace_of(request_id: str | None, traceparent: str | None) -> Trace:
    """Return the identity of a request; None is what the client has not sent."""
    if request_id is None or traceparent is None:
        made = randbytes(40).hex()
        request_id = made[:32] if request_id is None else request_id
        traceparent = f"00-{made[32:64]}-{made[64:]}-00" if traceparent is None else traceparent
    return Trace(request_id, traceparent)


def passed_on(headers: Headers, override_header: str) -> list[Pair]:
    """Return the client's headers that a replica may see; private ones are the gateway's to set."""
    override = override_header.lower()
    return [
        (name, value)
        for name, value in headers.end_to_end()
        if name not in _NOT_FOR_REPLICAS
        and name != override
        and not name.startswith((names.PRIVATE_HEADER_PREFIX, "x-forwarded-"))
    ]


def told_to_replica(trace: Trace, query_class: str, left_seconds: float, tier: Tier, predicted_tokens: int) -> bytes:
    """Return the lines of the gateway's own headers to a replica."""
    return (
        f"{names.HEADER_REQUEST_ID}: {trace.request_id}\r\n"
        f"{names.HEADER_TRACEPARENT}: {trace.traceparent}\r\n"
        f"{names.HEADER_DEADLINE}: {max(0, int(left_seconds * 1000))}\r\n"
        f"{names.HEADER_TIER}: {tier}\r\n"
        f"{names.HEADER_CLASS}: {query_class}\r\n"
        f"{names.HEADER_PREDICTED_TOKENS}: {predicted_tokens}\r\n"
    ).encode("latin-1")


def passed_back(headers: Headers) -> bytes:
    """Return the lines of a replica's headers that the client may see, without its `content-length`."""
    lines = []
    named: frozenset[bytes] = frozenset()
    for name, value in headers.pairs:
        goes = _goes_back.get(name)
        if goes is None:
            goes = _learn(name)
        if goes:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif name == b"connection":
            named |= frozenset(token.strip().lower() for token in value.split(b",")) - _CLOSE_OR_KEEP
    if named:
        lines = [line for line in lines if line.partition(b":")[0] not in named]
    return b"".join(lines)


def _learn(name: bytes) -> bool:
    text = name.decode("latin-1")
    goes = text not in _NOT_FOR_CLIENTS and (
        text in _TOLD_TO_CLIENTS or not text.startswith(names.PRIVATE_HEADER_PREFIX)
    )
    if len(_goes_back) < _MAX_NAMES:
        _goes_back[name] = goes
    return goes


def told_to_client(trace: Trace, pool: str, query_class: str, reason: str, told: Iterable[Pair]) -> bytes:
    """Return the lines of the gateway's own headers to the client; `told` are more of them.

    Raises:
        ValueError: one of them has a line break in it.
    """
    return encode_pairs(
        [
            (names.HEADER_REQUEST_ID, trace.request_id),
            (names.HEADER_POOL, pool),
            (names.HEADER_ROUTED_CLASS, query_class),
            (names.HEADER_REASON, reason),
            *told,
        ]
    )
