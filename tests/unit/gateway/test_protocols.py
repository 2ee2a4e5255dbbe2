import pytest

from autoglm_gateway.files import endpoints_in, parse_endpoints
from autoglm_gateway.head import head_of, identity_of
from autoglm_gateway.inference import ModelPath, asked_of, parse_model_path
from autoglm_gateway.openai import parse_chat, parse_completion, parse_embedding
from autoglm_gateway.passing import passed_back, passed_on, trace_of
from autoglm_gateway.refusal import RefusalError, error_event
from autoglm_gateway.route import Asked
from autoglm_transport.http import Headers


@pytest.mark.parametrize(
    ("path", "method", "parsed"),
    [
        ("/v2/models/a", "GET", ModelPath("a", "", "")),
        ("/v2/models/a/", "GET", ModelPath("a", "", "")),
        ("/v2/models/a/config", "GET", ModelPath("a", "", "config")),
        ("/v2/models/a/infer", "POST", ModelPath("a", "", "infer")),
        ("/v2/models/a/versions/3/infer", "POST", ModelPath("a", "3", "infer")),
        ("/v2/models/a%2Fb/generate_stream", "POST", ModelPath("a/b", "", "generate_stream")),
    ],
)
def test_model_paths(path: str, method: str, parsed: ModelPath) -> None:
    assert parse_model_path(path, method) == parsed
    assert parsed.rewritten(parsed.model) == path.rstrip("/")


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/v2/models", "GET", 404),
        ("/v2/models//infer", "POST", 404),
        ("/v2/other/a", "GET", 404),
        ("/v2/models/a/b/c", "GET", 404),
        ("/v2/models/a/versions", "GET", 404),
        ("/v2/models/a/infer", "GET", 405),
        ("/v2/models/a", "POST", 405),
    ],
)
def test_paths_that_are_not_there(path: str, method: str, status: int) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_model_path(path, method)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("messages", "asked"),
    [
        ('[{"role":"user","content":"hi"}]', Asked("hi", 2)),
        ('[{"role":"system","content":"be nice"},{"role":"user","content":"hi"}]', Asked("hi", 9, 2)),
        ('[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]', Asked("a", 2, 2)),
        ('[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image"},1]}]', Asked("a", 1)),
        ('[{"role":"assistant","content":null}]', Asked("", 0)),
        ('[{"role":"system","content":"only"}]', Asked("only", 4)),
    ],
)
def test_what_a_chat_asks(messages: str, asked: Asked) -> None:
    assert parse_chat(f'{{"model":"m","messages":{messages}}}'.encode()) == ("m", asked)


@pytest.mark.parametrize(
    ("prompt", "text", "tokens"),
    [
        ('"a lamp"', "a lamp", 2),
        ('["a", "lamp"]', "lamp", 3),
        ("[1, 2, 3]", "", 3),
        ("[[1, 2], [3]]", "", 3),
    ],
)
def test_what_a_completion_asks(prompt: str, text: str, tokens: int) -> None:
    model, asked = parse_completion(f'{{"model":"m","prompt":{prompt},"max_tokens":5}}'.encode())
    assert (model, asked.text, asked.prompt_tokens, asked.max_tokens) == ("m", text, tokens, 5)


def test_an_embedding_generates_nothing() -> None:
    assert parse_embedding(b'{"model":"m","input":"a lamp"}')[1].max_tokens == 1


@pytest.mark.parametrize("given", ["null", "[]", "{}", '[{"a":1}]', "1.5", '["a", null]'])
def test_what_is_no_prompt(given: str) -> None:
    with pytest.raises(RefusalError) as caught:
        parse_completion(f'{{"model":"m","prompt":{given}}}'.encode())
    assert caught.value.status == 400


def test_requested_tokens() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"a"}],"max_tokens":5,"max_completion_tokens":7}'
    assert parse_chat(body)[1].max_tokens == 7


def test_the_binary_text_follows_the_tensors_before_it() -> None:
    head = (
        b'{"inputs":[{"datatype":"INT32","parameters":{"binary_data_size":3}},'
        b'{"datatype":"BYTES","parameters":{"binary_data_size":9}}]}'
    )
    body = head + b"xyz" + b"\x05\0\0\0" + b"hello"
    assert asked_of("infer", body, str(len(head))) == Asked("hello", 5)


PASSING = [
    (b"host", b"a"),
    (b"connection", b"keep-alive, X-Hop"),
    (b"x-hop", b"1"),
    (b"te", b"trailers"),
    (b"x-forwarded-proto", b"https"),
    (b"x-autoglm-tier", b"Urgent"),
    (b"x-level", b"Complex"),
    (b"cookie", b"a=1"),
    (b"accept", b"*/*"),
]


def test_only_harmless_headers_reach_a_replica() -> None:
    assert passed_on(Headers(PASSING), "X-Level") == [("accept", "*/*")]


def test_only_public_headers_reach_the_client() -> None:
    pairs = [
        (b"content-type", b"text/plain"),
        (b"content-length", b"3"),
        (b"transfer-encoding", b"chunked"),
        (b"x-autoglm-draining", b"1"),
        (b"x-autoglm-revision", b"7f2a"),
        (b"x-autoglm-simulated", b"1"),
    ]
    expected = b"content-type: text/plain\r\nx-autoglm-revision: 7f2a\r\nx-autoglm-simulated: 1\r\n"
    assert passed_back(Headers(pairs)) == expected


def test_a_header_that_a_replica_names_for_its_connection_stays_there() -> None:
    pairs = [(b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"x-hopper", b"2")]
    assert passed_back(Headers(pairs)) == b"x-hopper: 2\r\n"
    assert passed_back(Headers(pairs[1:])) == b"x-hop: 1\r\nx-hopper: 2\r\n"


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.mark.parametrize(
    ("request_id", "traceparent", "kept"),
    [
        ("id-1", TRACE, (True, True)),
        ("", "garbage", (False, False)),
        ("has space", TRACE.upper(), (False, False)),
        ("x" * 129, TRACE.replace("b7ad6b7169203331", "0" * 16), (False, False)),
    ],
)
def test_well_formed_identities_are_kept(request_id: str, traceparent: str, kept: tuple[bool, bool]) -> None:
    sent = Headers([(b"x-request-id", request_id.encode()), (b"traceparent", traceparent.encode())])
    trace = trace_of(*identity_of(sent))
    assert (trace.request_id == request_id, trace.traceparent == traceparent) == kept
    made = Headers([(b"traceparent", trace.traceparent.encode()), (b"x-request-id", trace.request_id.encode())])
    assert identity_of(made) == (trace.request_id, trace.traceparent)


def test_the_head_of_a_request_is_read_once_for_all_that_share_it() -> None:
    headers = Headers(PASSING)
    head = head_of(headers, "X-Level")
    assert (head.override, head.tier, head.passed_on) == ("Complex", "Urgent", b"accept: */*\r\n")
    assert head_of(headers, "X-Level") is head
    assert head_of(headers, "X-Other").override is None, "another configuration reads it anew"


def test_an_error_event_ends_the_half_sent_one() -> None:
    assert error_event("/v1/completions", "gone", "x").startswith(b'\n\ndata: {"error":{"message":"gone"')
    assert error_event("/v2/models/m/generate_stream", "gone", "x") == b'\n\ndata: {"error":"gone"}\n\n'


def test_endpoints_on_the_command_line() -> None:
    found = endpoints_in(parse_endpoints("127.0.0.1:1=light,127.0.0.1:2=light,h:3=large"))
    assert {pool: [address.port for address in known] for pool, known in found.replicas.items()} == {
        "light": [1, 2],
        "large": [3],
    }
    with pytest.raises(ValueError, match="host:port=pool"):
        parse_endpoints("127.0.0.1:1")
