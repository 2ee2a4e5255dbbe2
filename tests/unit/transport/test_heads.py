"""A head that was accepted is not parsed again, and nothing else is taken for it."""

import pytest

from autoglm_transport.heads import Heads
from autoglm_transport.limits import Limits
from autoglm_transport.reading import MAX_PIPELINED, Phase, RefusedError, RequestReader

HEAD = b"POST /a?b HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nContent-Length: %d\r\nX-B: 2\r\n\r\n"


def post(body: bytes) -> bytes:
    return HEAD % len(body) + body


def warm(heads: Heads, **limits: int) -> RequestReader:
    """A reader on a connection of a server that has seen the head before."""
    RequestReader(Limits(), heads).feed(post(b"first"))
    return RequestReader(Limits(**limits), heads)


def test_the_second_request_has_its_own_body_and_shares_the_headers() -> None:
    reader = RequestReader(Limits())
    reader.feed(post(b"one"))
    reader.feed(post(b"second one"))
    first, second = (incoming.request for incoming in reader.complete)
    assert (first.body, second.body) == (b"one", b"second one")
    assert second.headers is first.headers
    assert (second.method, second.path, second.query) == ("POST", "/a", "b")
    assert second.headers.get("content-length") is None


@pytest.mark.parametrize("size", [1, 7, 80, 100])
def test_a_body_may_come_in_pieces(size: int) -> None:
    reader = warm(Heads())
    sent = post(b"x" * 200)
    head = sent.index(b"\r\n\r\n") + 4
    reader.feed(sent[: head + 3])
    assert reader.phase is Phase.BODY
    for start in range(head + 3, len(sent), size):
        reader.feed(sent[start : start + size])
    assert [incoming.request.body for incoming in reader.complete] == [b"x" * 200]
    assert reader.phase.value == "between"


def test_requests_that_come_together_are_told_apart() -> None:
    reader = warm(Heads())
    reader.feed(post(b"a") + post(b"") + post(b"bc") + post(b"tail")[:-2])
    reader.feed(b"il" + b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert [incoming.request.body for incoming in reader.complete] == [b"a", b"", b"bc", b"tail", b""]
    assert reader.complete[-1].request.method == "GET"


def test_a_body_over_the_limit_is_refused_whether_or_not_its_head_is_known() -> None:
    reader = warm(Heads(), max_body_bytes=10)
    with pytest.raises(RefusedError) as caught:
        reader.feed(post(b"x" * 11))
    assert (caught.value.status, caught.value.path) == (413, "/a")


def test_the_limit_of_pipelined_requests_holds() -> None:
    with pytest.raises(RefusedError, match="pipelined"):
        warm(Heads()).feed(post(b"") * (MAX_PIPELINED + 1))


@pytest.mark.parametrize(
    "head",
    [
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nExpect: 100-continue\r\n\r\n",
        b"POST / HTTP/1.0\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nTrailer: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n",
        b"\r\nPOST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: h\r\nX-Long: " + b"a" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_rare_and_large_heads_are_read_anew_every_time(head: bytes) -> None:
    heads = Heads()
    RequestReader(Limits(), heads).feed(head)
    assert len(heads) == 0


@pytest.mark.parametrize(
    "changed",
    [
        post(b"x").replace(b"\r\nX-B", b"\r\nContent-Length: 1\r\nX-B"),
        post(b"x").replace(b"\r\nX-B", b"\r\nTransfer-Encoding: chunked\r\nX-B"),
        post(b"x").replace(b"Content-Length: 1", b"Content-Length: +1"),
        post(b"x").replace(b"Content-Length: 1\r\n", b"Content-Length: 1\n"),
        b"\r\nContent-Length: 1\r\n" + post(b"x").replace(b"Content-Length: 1\r\n", b""),
        post(b"x").replace(b"Host: h\r\n", b""),
        post(b"x").replace(b"Host: h\r\n", b"Host: h\r\nHost: h\r\n"),
        post(b"x").replace(b"X-A:", b"X-A :"),
    ],
)
def test_what_is_refused_stays_refused_beside_a_known_head(changed: bytes) -> None:
    heads = Heads()
    reader = warm(heads)
    with pytest.raises(RefusedError):
        reader.feed(changed)
    assert len(heads) == 1


def test_a_known_head_that_closes_the_connection_still_does() -> None:
    heads = Heads()
    for _ in range(2):
        reader = RequestReader(Limits(), heads)
        reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx")
        assert not reader.complete[0].keep_alive


def test_so_many_heads_are_kept_and_the_first_one_goes() -> None:
    heads = Heads()
    reader = RequestReader(Limits(), heads)
    for number in range(1030):
        reader.feed(b"POST /%d HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n" % number)
        reader.complete.clear()
    assert len(heads) == 1024
    assert heads.get(b"POST /5 HTTP/1.1\r\nHost: h") is None
    assert heads.get(b"POST /1029 HTTP/1.1\r\nHost: h") is not None
