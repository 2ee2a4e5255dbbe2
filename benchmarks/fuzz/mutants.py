"""Random changes of good requests, and what must hold whatever they are. Pure: chance is an argument."""

# ruff: noqa: S101 - an assertion is how a finding is told

import random
from collections.abc import Callable
from functools import partial
from typing import Final

from autoglm_gateway import inference, openai
from autoglm_gateway.refusal import RefusalError
from autoglm_transport.limits import Limits
from autoglm_transport.reading import RefusedError, RequestReader

LIMITS: Final = Limits(max_header_bytes=2000, max_headers=20, max_body_bytes=500)
_POST: Final = b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\n"
REQUESTS: Final = (
    b"GET /v1/models?x=1 HTTP/1.1\r\nHost: a\r\nAccept: */*\r\n\r\n",
    _POST + b"Content-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    _POST + b"Transfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n0\r\nX: 1\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
    _POST + b"Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 3\r\n\r\nabcGET / HTTP/1.0\r\n\r\n",
)
BODIES: Final = (
    b'{"model":"m","messages":[{"role":"system","content":"a"},{"role":"user","content":[{"type":"text","text":"b"}]}]}',
    b'{"model":"m","prompt":["a",[1,2]],"input":[1,2],"max_tokens":5,"text_input":"c"}',
    (
        b'{"inputs":[{"name":"n","datatype":"INT32","parameters":{"binary_data_size":4}},'
        b'{"name":"t","shape":[1],"datatype":"BYTES","parameters":{"binary_data_size":6}}]}\0\0\0\0\2\0\0\0ab'
    ),
)
# What turns one request into another one if somebody reads it carelessly.
_PIECES: Final = (
    *(b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b";", b",", b"0\r\n\r\n", b"\xff", b"-", b"[", b"{", b'"'),
    *(b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: c\r\n", b"HTTP/1.1", b"99999999999"),
)


def mutant(good: bytes, chance: random.Random) -> bytes:
    """Return a good message with one to four changes: bytes set, pieces put in, taken out or doubled."""
    data = bytearray(good)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        match chance.randrange(4):
            case 0 if at < len(data):
                data[at] = chance.randrange(256)
            case 1:
                data[at:at] = chance.choice(_PIECES)
            case 2:
                del data[at : at + chance.randint(1, 9)]
            case _:
                data[at:at] = data[at : at + chance.randint(1, 40)]
    return bytes(data)


Read = tuple[list[tuple[str, str, tuple[tuple[bytes, bytes], ...], bytes]], int]


def read(pieces: list[bytes]) -> Read:
    """Return the requests that the transport reads in these pieces, and the status of its refusal or 0."""
    reader = RequestReader(LIMITS)
    status = 0
    try:
        for piece in pieces:
            reader.feed(piece)
    except RefusedError as refusal:
        status = refusal.status
    requests = [incoming.request for incoming in reader.complete]
    return [(one.method, one.target, tuple(one.headers), one.body) for one in requests], status


def check_request(data: bytes, chance: random.Random) -> None:
    """Read the bytes at once and in two pieces; AssertionError when that is not the same, or a limit does not hold."""
    whole, status = read([data])
    cut = chance.randrange(len(data) + 1)
    parts, parts_status = read([data[:cut], data[cut:]])
    assert whole == parts, (data, cut)
    assert bool(status) == bool(parts_status), (data, cut)
    for _, _, headers, body in whole:
        assert len(headers) <= LIMITS.max_headers, data
        assert len(body) <= LIMITS.max_body_bytes, data
        assert not any(b"\r" in value or b"\n" in value or b"\0" in value for _, value in headers), data


def check_body(data: bytes, chance: random.Random) -> None:
    """Parse a body as every protocol does; anything but an answer or a refusal is raised."""
    length = chance.choice([None, str(chance.randrange(len(data) + 2)), str(data.rfind(b"}") + 1)])
    for parse in openai.PARSERS.values():
        _check(partial(parse, data))
    for action in ("infer", "generate"):
        _check(partial(inference.asked_of, action, data, length))


def _check(parse: Callable[[], object]) -> None:
    status = 400
    try:
        parse()
    except RefusalError as refusal:
        status = refusal.status
    assert 400 <= status < 500
