"""What the head of a client's request says, worked out once for all requests with the same head."""

import re
from dataclasses import dataclass, field
from typing import Final

from autoglm_api import names
from autoglm_gateway.passing import passed_on
from autoglm_gateway.principals import Caller
from autoglm_transport.http import Headers, Pair, encode_pairs

_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
_TRACEPARENT: Final = re.compile(r"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_TRACESTATE: Final = "tracestate"
_ALLOW: Final = "allow"


@dataclass(slots=True, eq=False)
class ClientHead:
    """The headers that the gateway looks at, and those for the replica, encoded; names in lower case."""

    override_header: str
    override: str | None
    passed_on: bytes
    request_id: str | None
    traceparent: str | None
    task: str | None
    tier: str | None
    deadline: str | None
    encoding: str | None
    cache_control: list[str]
    cache_opt_in: bool
    caller: Caller | None = None
    """Who sent it, by the keys of `keys_version`."""
    keys_version: int = field(default=-1)


def head_of(headers: Headers, override_header: str) -> ClientHead:
    """Return what headers say; kept with them, so that the next request with the same ones costs nothing."""
    known = headers.notes
    if isinstance(known, ClientHead) and known.override_header == override_header:
        return known
    request_id, traceparent = identity_of(headers)
    head = headers.notes = ClientHead(
        override_header=override_header,
        override=headers.get(override_header.lower()),
        passed_on=encode_pairs(_passed_on(headers, override_header, traced=traceparent is not None)),
        request_id=request_id,
        traceparent=traceparent,
        task=headers.get(names.HEADER_TASK),
        tier=headers.get(names.HEADER_TIER),
        deadline=headers.get(names.HEADER_DEADLINE),
        encoding=headers.get("content-encoding"),
        cache_control=headers.all("cache-control"),
        cache_opt_in=(headers.get(names.HEADER_CACHE) or "").strip().lower() == _ALLOW,
    )
    return head


def identity_of(headers: Headers) -> tuple[str | None, str | None]:
    """Return the client's own request identifier and traceparent; None for one that is missing, doubled or broken."""
    traceparents = headers.all(names.HEADER_TRACEPARENT)
    return (
        _matching(_REQUEST_ID, headers.get(names.HEADER_REQUEST_ID)),
        _matching(_TRACEPARENT, traceparents[0]) if len(traceparents) == 1 else None,
    )


def _passed_on(headers: Headers, override_header: str, *, traced: bool) -> list[Pair]:
    """Return what a replica may see; the state of a trace that is not passed on belongs to nothing (W3C, 3.3.1)."""
    pairs = passed_on(headers, override_header)
    return pairs if traced else [pair for pair in pairs if pair[0] != _TRACESTATE]


def _matching(pattern: re.Pattern[str], value: str | None) -> str | None:
    return value if value is not None and pattern.fullmatch(value) else None
