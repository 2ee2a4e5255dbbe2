"""Which headers are passed on, in both directions. Pure, but for the making of identifiers."""

import os
import re
from dataclasses import dataclass
from typing import Final

from autoglm_api import names
from autoglm_api.keys import Tier
from autoglm_transport.http import Headers, Pair

# Credentials and cookies are for the gateway; a replica has no use for them.
_NOT_FOR_REPLICAS: Final = frozenset(
    {"host", "content-length", "expect", "forwarded", "authorization", "cookie", "x-real-ip"}
    | {names.HEADER_REQUEST_ID, names.HEADER_TRACEPARENT}
)
_NOT_FOR_CLIENTS: Final = frozenset({"content-length", names.HEADER_REQUEST_ID})
_TOLD_TO_CLIENTS: Final = frozenset(
    {names.HEADER_REVISION, names.HEADER_PROMPT_TOKENS, names.HEADER_CONFIDENCE, names.HEADER_SIMULATED}
)
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Trace:
    """The identity of a request: what the client sent if it is well-formed, else made here."""

    request_id: str
    traceparent: str


def trace_of(headers: Headers) -> Trace:
    """Return the identity of a request."""
    request_id = headers.get(names.HEADER_REQUEST_ID)
    if request_id is None or not _REQUEST_ID.fullmatch(request_id):
        request_id = os.urandom(16).hex()
    traceparent = headers.get(names.HEADER_TRACEPARENT)
    if traceparent is None or not _TRACEPARENT.fullmatch(traceparent):
        traceparent = f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00"
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


def told_to_replica(
    trace: Trace, query_class: str, left_seconds: float, tier: Tier, predicted_tokens: int
) -> list[Pair]:
    """Return the gateway's own headers to a replica."""
    return [
        (names.HEADER_REQUEST_ID, trace.request_id),
        (names.HEADER_TRACEPARENT, trace.traceparent),
        (names.HEADER_DEADLINE, str(max(0, int(left_seconds * 1000)))),
        (names.HEADER_TIER, tier),
        (names.HEADER_CLASS, query_class),
        (names.HEADER_PREDICTED_TOKENS, str(predicted_tokens)),
    ]


def passed_back(headers: Headers) -> list[Pair]:
    """Return a replica's headers that the client may see, without its `content-length`."""
    return [
        (name, value)
        for name, value in headers.end_to_end()
        if name not in _NOT_FOR_CLIENTS
        and (name in _TOLD_TO_CLIENTS or not name.startswith(names.PRIVATE_HEADER_PREFIX))
    ]


def told_to_client(trace: Trace, pool: str, query_class: str, reason: str) -> list[Pair]:
    """Return the gateway's own headers to the client."""
    return [
        (names.HEADER_REQUEST_ID, trace.request_id),
        (names.HEADER_POOL, pool),
        (names.HEADER_ROUTED_CLASS, query_class),
        (names.HEADER_REASON, reason),
    ]
