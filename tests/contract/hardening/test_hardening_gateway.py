"""The whole gateway under a hostile client: nothing of a query is told to others, kept as a name, or passed on."""

import asyncio
import logging
import resource
import signal
import sys
from pathlib import Path

import orjson
import pytest

from autoglm_api import names
from autoglm_transport.http import Request
from autoglm_transport.responder import Responder
from support.gateways import (
    DEPLOYMENT,
    LARGE,
    LIGHT,
    SIMPLE_PROMPT,
    GatewayUnderTest,
    chat_body,
    config,
    replica,
    running_gateway,
)
from support.raw_http import HOST, eventually, exchange, request, status_of

SECRET = "my-card-number-is-4111"
ODD = "gpt-of-a-stranger"


async def fail(request: Request, responder: Responder) -> None:
    """Hang up in the middle."""
    responder.abort()


BROKEN = {
    "answered": chat_body(SECRET),
    "not JSON": b'{"model": "' + SECRET.encode(),
    "unknown model": chat_body(SECRET, model=ODD),
    "wrong type": orjson.dumps({"model": DEPLOYMENT, "messages": SECRET}),
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize("lost", [False, True], ids=["served", "lost"])
async def test_prompts_and_keys_are_in_no_log_and_no_error(
    body: bytes, *, lost: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    worker = replica(fail) if lost else replica()
    async with worker as light, running_gateway(light=[light.port], large=[light.port]) as gate:
        answer = await gate.send(body=body, headers=[("authorization", f"Bearer {SECRET}")])
        await asyncio.sleep(0)
    assert SECRET not in answer.body.decode()
    assert SECRET not in caplog.text


async def metrics_of(gate: GatewayUnderTest) -> str:
    return (await gate.send("GET", names.PATH_METRICS, admin=True)).body.decode()


async def test_words_of_a_client_never_become_labels() -> None:
    async with replica() as light, running_gateway(light=[light.port], large=[light.port]) as gate:
        await gate.chat()
        await gate.chat(model=ODD)
        before = len((await metrics_of(gate)).splitlines())
        for number in range(20):
            await gate.chat(model=f"{ODD}-{number}")
            headers = [(names.HEADER_TASK, f"{ODD}-{number}"), (names.HEADER_REQUEST_ID, f"{ODD}-{number}")]
            await gate.send(body=chat_body(), headers=headers)
            await gate.send("GET", f"/{ODD}/{number}")
            await gate.send(f"{'X' * 3}", names.PATH_CHAT)
        text = await metrics_of(gate)
        assert ODD not in text
        assert len(text.splitlines()) <= before + 20  # a bucket of its own for each word would be hundreds


FORGED = [
    ("x-autoglm-class", "Simple"),
    ("x-autoglm-pool", "large"),
    ("x-autoglm-revision", "r0"),
    ("x-autoglm-predicted-tokens", "1"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-proto", "https"),
    ("forwarded", "for=10.0.0.1"),
    ("x-real-ip", "10.0.0.1"),
    ("authorization", "Bearer key"),
    ("cookie", "session=1"),
    ("proxy-authorization", "Basic eDp5"),
    ("te", "trailers"),
    ("keep-alive", "timeout=1"),
]


async def test_what_a_client_forges_does_not_reach_a_replica() -> None:
    async with replica() as light, running_gateway(light=[light.port], large=[light.port]) as gate:
        assert (await gate.send(body=chat_body(SIMPLE_PROMPT), headers=FORGED)).status == 200
        got = dict(light.requests[0].headers.decoded())
        told = {names.HEADER_CLASS, names.HEADER_TIER, names.HEADER_DEADLINE, names.HEADER_PREDICTED_TOKENS}
        private = {name for name in got if name.startswith(names.PRIVATE_HEADER_PREFIX)}
        assert private <= told
        assert got.get(names.HEADER_PREDICTED_TOKENS) != "1"
        assert not {name for name, _ in FORGED if not name.startswith("x-autoglm-")} & set(got)


async def test_a_connection_header_cannot_take_away_what_the_gateway_says() -> None:
    named = f"{names.HEADER_CLASS}, {names.HEADER_DEADLINE}, content-length, host, x-mine"
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        await gate.send(body=chat_body(SIMPLE_PROMPT), headers=[("connection", named), ("x-mine", "1")])
        got = light.requests[0]
        assert got.headers.get(names.HEADER_CLASS) == "Simple"
        assert got.headers.get(names.HEADER_DEADLINE) is not None
        assert (got.body, got.headers.get("x-mine")) == (chat_body(SIMPLE_PROMPT), None)


PATHS = ["//v1/chat/completions", "/v1//chat/completions", "/v1/chat/completions/", "/v1/./chat/completions"]
PATHS += ["/v1/models/../chat/completions", "/v1/chat%2Fcompletions", "/V1/chat/completions", "/%761/chat/completions"]
PATHS += ["/metrics", "/internal/v1/demand", "/admin/drain", "/v2/repository/index", "/v2/logging", "*"]


@pytest.mark.parametrize("target", PATHS)
async def test_there_is_one_way_to_write_a_path(target: str) -> None:
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        sent = request("POST", target, body=chat_body(), extra="X-HTTP-Method-Override: GET\r\n")
        assert 400 <= status_of(await exchange(gate.port, sent)) < 500
        assert light.requests == []


async def test_an_absolute_target_is_answered_here_and_its_authority_goes_nowhere() -> None:
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        sent = request("POST", "http://169.254.169.254/v1/chat/completions", body=chat_body())
        assert status_of(await exchange(gate.port, sent)) == 200
        assert (light.requests[0].target, light.requests[0].headers.get("host")) == (
            names.PATH_CHAT,
            f"{HOST}:{light.port}",
        )


async def test_a_repeated_field_means_its_last_value_to_gateway_and_replica_alike() -> None:
    body = b'{"model":"gpt","model":"glm-light","messages":[{"role":"user","content":"a"}]}'
    async with replica() as light, running_gateway(light=[light.port]) as gate:
        answer = await gate.send(body=body)
        assert (answer.headers[names.HEADER_POOL], orjson.loads(light.requests[0].body)["model"]) == (
            "light",
            "glm-light",
        )


@pytest.mark.parametrize(("cap", "clients"), [(8, 528), (400, 272)])
async def test_clients_have_the_descriptors_that_replicas_cannot_need(tmp_path: Path, cap: int, clients: int) -> None:
    """Of 800, 256 are for the gateway itself; one replica of `cap` slots needs so many more, or each client one."""
    settings = tmp_path / "gateway.json"
    pools = [one.model_copy(update={"concurrency_per_replica": cap}) for one in (LIGHT, LARGE)]
    settings.write_bytes(orjson.dumps(config(*pools).to_json()))
    command = (sys.executable, "-m", "autoglm_gateway", "--host", HOST, "--port", "0", "--admin-port", "0")
    process = await asyncio.create_subprocess_exec(
        *(*command, "--config", str(settings), "--endpoints", f"{HOST}:9=light,{HOST}:9=large"),
        stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (800, 800)),
    )
    try:
        assert process.stderr is not None
        port = int((await process.stderr.readline()).decode().split("serving on port ")[1].split(",")[0])
        held = []
        for _ in range(clients):
            reader, writer = await asyncio.open_connection(HOST, port)
            writer.write(request("GET", "/v2", close=False))
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 200")
            held.append(writer)
        assert status_of(await exchange(port, request("GET", "/v2"))) == 503
        for writer in held:
            writer.close()
    finally:
        process.send_signal(signal.SIGKILL)
        await process.communicate()


async def test_without_descriptors_the_gateway_turns_clients_away_and_recovers(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.json"
    settings.write_bytes(orjson.dumps(config().to_json()))
    async with replica() as light:
        command = (sys.executable, "-m", "autoglm_gateway", "--host", HOST, "--port", "0", "--admin-port", "0")
        files = ("--config", str(settings), "--endpoints", f"{HOST}:{light.port}=light,{HOST}:{light.port}=large")
        process = await asyncio.create_subprocess_exec(
            *command,
            *files,
            stderr=asyncio.subprocess.PIPE,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96)),
        )
        try:
            assert process.stderr is not None
            line = (await process.stderr.readline()).decode()
            port = int(line.split("serving on port ")[1].split(",")[0])
            crowd = [await asyncio.open_connection(HOST, port) for _ in range(200)]
            answers = await asyncio.gather(*(asyncio.wait_for(reader.read(20), 20) for reader, _ in crowd[16:40]))
            assert {answer[:12] for answer in answers} == {b"HTTP/1.1 503"}
            for _, writer in crowd:
                writer.close()

            async def served() -> bool:
                answer = await exchange(port, request("POST", names.PATH_CHAT, body=chat_body()), seconds=2)
                return bool(answer) and status_of(answer) == 200

            await eventually(served, 10)
        finally:
            process.send_signal(signal.SIGKILL)
            await process.communicate()
