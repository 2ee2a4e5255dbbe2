"""A reader that remembers heads and one that has never seen any take the same bytes for the same requests."""

from hypothesis import given, settings
from hypothesis import strategies as st

from autoglm_transport.heads import Heads
from autoglm_transport.limits import Limits
from autoglm_transport.reading import RefusedError, RequestReader

BASE = (
    b"POST /v1/chat?a=b HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer k\r\n"
    b"Content-Length: 12\r\nX-A: 1\r\nConnection: keep-alive\r\n\r\nhello world!"
)
PIECES = (
    *(b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b",", b"\0", b"1", b"0", b"+", b"-", b"x"),
    *(
        b"\r\nContent-Length: 3",
        b"\r\nTransfer-Encoding: chunked",
        b"\r\n folded",
        b"\r\nHost: g",
        b"\r\n\r\n",
        b"GET / ",
    ),
)
edits = st.lists(
    st.tuples(st.integers(0, len(BASE) - 1), st.integers(0, 3), st.sampled_from(PIECES)), min_size=1, max_size=3
)
Seen = list[tuple[str, str, bytes, tuple[tuple[bytes, bytes], ...], bool]]


def edited(changes: list[tuple[int, int, bytes]]) -> bytes:
    """The base with some of its bytes replaced."""
    text = BASE
    for place, gone, piece in changes:
        text = text[:place] + piece + text[place + gone :]
    return text


def read(data: bytes, heads: Heads, step: int) -> tuple[Seen, int]:
    """What a new connection makes of bytes that come in steps: requests, and the status of its refusal or 0."""
    reader = RequestReader(Limits(max_body_bytes=1000), heads)
    refused = 0
    try:
        for start in range(0, len(data), step):
            reader.feed(data[start : start + step])
    except RefusedError as refusal:
        refused = refusal.status
    return [
        (one.request.method, one.request.target, one.request.body, tuple(one.request.headers), one.keep_alive)
        for one in reader.complete
    ], refused


@settings(max_examples=150)
@given(edits, st.sampled_from([1 << 16, 170, 40]))
def test_what_is_remembered_changes_nothing(changes: list[tuple[int, int, bytes]], step: int) -> None:
    known = Heads()
    assert read(BASE, known, 1 << 16)[1] == 0
    assert len(known) == 1
    for data in (edited(changes), BASE + edited(changes), edited(changes) + BASE):
        fresh = read(data, Heads(), 1)  # byte by byte, no head is ever there as a whole: httptools reads all of it
        assert read(data, known, step) == fresh
