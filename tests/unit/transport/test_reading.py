import pytest

from autoglm_transport.http import Headers, encode_pairs, end_to_end, request_line, split_target, status_line
from autoglm_transport.limits import Limits
from autoglm_transport.reading import MAX_PIPELINED, Phase, RefusedError, RequestReader

POST = b"POST /a?b=c HTTP/1.1\r\nHost: h\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nabc"


def test_the_same_bytes_in_any_pieces_are_the_same_request() -> None:
    for size in (1, 2, 7, len(POST)):
        reader = RequestReader(Limits())
        for start in range(0, len(POST), size):
            reader.feed(POST[start : start + size])
        request = reader.complete.popleft().request
        assert (request.method, request.path, request.query, request.target) == ("POST", "/a", "b=c", "/a?b=c")
        assert (request.body, request.headers.get("x-a"), request.headers.all("x-a")) == (b"abc", "1", ["1", "2"])
        assert reader.phase is Phase.BETWEEN


@pytest.mark.parametrize(
    ("data", "phase"), [(b"", Phase.BETWEEN), (POST[:10], Phase.HEAD), (POST[:-1], Phase.BODY), (POST, Phase.BETWEEN)]
)
def test_phases(data: bytes, phase: Phase) -> None:
    reader = RequestReader(Limits())
    reader.feed(data)
    assert reader.phase is phase


def test_pipelining_is_bounded() -> None:
    reader = RequestReader(Limits())
    get = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
    reader.feed(get * MAX_PIPELINED)
    with pytest.raises(RefusedError, match="pipelined"):
        reader.feed(get)


def test_a_body_is_measured_as_it_comes() -> None:
    reader = RequestReader(Limits(max_body_bytes=10))
    reader.feed(b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10):
        reader.feed(b"1\r\nx\r\n")
    with pytest.raises(RefusedError) as caught:
        reader.feed(b"1\r\nx\r\n")
    assert caught.value.status == 413


@pytest.mark.parametrize(
    ("target", "split"),
    [
        (b"/", ("/", "")),
        (b"/a?b?c", ("/a", "b?c")),
        (b"http://h/a?b", ("/a", "b")),
        (b"http://h", ("/", "")),
        (b"*", ("*", "")),
        (b"/a%2Fb", ("/a%2Fb", "")),
    ],
)
def test_targets(target: bytes, split: tuple[str, str]) -> None:
    assert split_target(target) == split


@pytest.mark.parametrize("value", ["a\r\nb: c", "a\nb", "a\rb", "a\0b"])
def test_heads_cannot_be_broken_out_of(value: str) -> None:
    with pytest.raises(ValueError, match="line break"):
        encode_pairs([("a", value)])
    with pytest.raises(ValueError, match="line break"):
        request_line("GET", value)


def test_heads() -> None:
    assert encode_pairs([("a", "1"), ("b", "\xe9")]) == b"a: 1\r\nb: \xe9\r\n"
    assert status_line(404) == b"HTTP/1.1 404 Not Found\r\n"
    assert status_line(799) == b"HTTP/1.1 799 Status\r\n"
    assert request_line("M-SEARCH", "/a?b") == b"M-SEARCH /a?b HTTP/1.1\r\n"


def test_end_to_end_headers() -> None:
    pairs = [("connection", "close, X-Hop"), ("x-hop", "1"), ("keep-alive", "5"), ("upgrade", "h2c"), ("a", "1")]
    assert end_to_end(pairs) == [("a", "1")]
    assert Headers([(b"a", b"\xe9")]).decoded() == [("a", "é")]


def test_a_length_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(RefusedError) as caught:
        RequestReader(Limits()).feed(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + b"0" * 5000 + b"3\r\n\r\nabc")
    assert caught.value.status == 413
