"""The engine inside the real Triton, asked over gRPC streams; a model with random weights."""

import asyncio
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import tritonclient.grpc as triton

from autoglm_api import names
from autoglm_api.config import EngineSpec
from autoglm_api.spec import Backend, QueryClass
from autoglm_node import repository, triton_server
from autoglm_node.engine.artifact import load_model
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.sequence import Sequence
from autoglm_node.event_client import EventClient
from autoglm_node.query import Generation
from autoglm_node.sampling import Sampling
from autoglm_node.settings import TritonPorts
from autoglm_shop import artifact
from autoglm_shop.chat import trained_tokenizer
from support.node_process import wait_for
from support.slot_models import TINY, VOCABULARY, tiny_weights
from support.triton import triton_root

ROOM = 256
CONCURRENCY = 3
MANY = 400  # queries: seconds of work
STOP, LENGTH = 1, 2


class Reply(NamedTuple):
    tokens: list[int]
    logprobs: list[float]
    finish: int


class Server(NamedTuple):
    client: triton.InferenceServerClient
    artifact: Path
    ports: TritonPorts


def spec_of(directory: Path) -> EngineSpec:
    return EngineSpec(
        deployment="d",
        namespace="n",
        pool="light",
        revision="r",
        serves=QueryClass.SIMPLE,
        model_name="tiny",
        model_path=str(directory),
        backend=Backend.ONNX_RUNTIME,
        max_sequence_tokens=ROOM,
        concurrency=CONCURRENCY,
        drain_seconds=1,
    )


def free_ports() -> TritonPorts:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return TritonPorts(*ports)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    work, root, ports = tmp_path_factory.mktemp("engine"), triton_root(), free_ports()
    artifact.write(work / "artifact", TINY, tiny_weights(1), trained_tokenizer(1, queries=50), 16)
    spec = spec_of(work / "artifact")
    models = repository.write(work, spec, 1)
    backends = triton_server.backends_for(spec, root, work)
    command = triton_server.command_for(spec, root, backends, models, ports, f"test{ports.grpc}")
    environment = triton_server.environment_for(root, {})
    with (work / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    client = triton.InferenceServerClient(f"127.0.0.1:{ports.grpc}")
    try:
        load(client, process, work / "log")
        yield Server(client, work / "artifact", ports)
    finally:
        client.close()
        end(process)
        for region in Path("/dev/shm").glob(f"test{ports.grpc}*"):
            region.unlink()


def end(process: subprocess.Popen[bytes]) -> None:
    """Stop Triton; one that still waits for a broken-off stream takes its stub with it."""
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(5)


def load(client: triton.InferenceServerClient, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and process.poll() is None:
        try:
            client.load_model("tiny")
        except triton.InferenceServerException as error:
            if "failed to connect" not in str(error):
                raise AssertionError(log.read_text()[-2000:]) from error
            time.sleep(0.1)
        else:
            return
    raise AssertionError(log.read_text()[-2000:])


def inputs(ids: list[int], max_tokens: int, **more: float) -> list[triton.InferInput]:
    types = {"input_ids": np.int32, "max_tokens": np.int32, "temperature": np.float32, "seed": np.int64}
    values: dict[str, Any] = {"input_ids": ids, "max_tokens": [max_tokens], **{k: [v] for k, v in more.items()}}
    tensors = []
    for name, value in values.items():
        array = np.array(value, dtype=types[name])
        kind = {"int32": "INT32", "int64": "INT64", "float32": "FP32"}[array.dtype.name]
        tensors.append(triton.InferInput(name, list(array.shape), kind))
        tensors[-1].set_data_from_numpy(array)
    return tensors


class Stream:
    """One query on a stream (and a connection) of its own."""

    def __init__(self, server: Server, ids: list[int], max_tokens: int, **more: float) -> None:
        self.answers: queue.Queue[tuple[Any, Any]] = queue.Queue()
        self._client = triton.InferenceServerClient(server.client._channel._channel.target().decode())
        self._client.start_stream(callback=lambda result, error: self.answers.put((result, error)))
        self._client.async_stream_infer("tiny", inputs(ids, max_tokens, **more))

    def reply(self) -> Reply:
        """Everything up to the finish; raises the error that Triton sent instead."""
        tokens: list[int] = []
        logprobs: list[float] = []
        finish = 0
        while not finish:
            result, error = self.answers.get(timeout=20)
            if error is not None:
                raise error
            tokens += result.as_numpy("token_ids").tolist()
            logprobs += result.as_numpy("logprobs").tolist()
            finish = int(result.as_numpy("finish_reason")[0])
        self._client.stop_stream()
        self._client.close()
        return Reply(tokens, logprobs, finish)

    def cancel(self) -> None:
        self._client.stop_stream(cancel_requests=True)
        self._client.close()


def prompts() -> dict[int, list[int]]:
    rng = np.random.default_rng(0)
    return {number: rng.integers(6, VOCABULARY, 4 + 9 * number).tolist() for number in range(8)}


def alone(directory: Path, ids: list[int], max_tokens: int) -> list[int]:
    """The same model without Triton, one slot, greedy."""
    loop = DecodeLoop(load_model(directory, slots=1, max_sequence_tokens=ROOM), 1, ROOM)
    loop.submit(Sequence(1, ids, max_tokens, stop_ids=frozenset({0, 5})))
    tokens: list[int] = []
    while not loop.idle:
        tokens += [event.token_id for event in loop.step()]
    return tokens[:-1] if tokens[-1] in {0, 5} else tokens


def test_queries_at_once_get_the_replies_of_queries_alone(server: Server) -> None:
    streams = {number: Stream(server, ids, 40) for number, ids in prompts().items()}
    replies = {number: stream.reply() for number, stream in streams.items()}
    assert {n: reply.tokens for n, reply in replies.items()} == {
        n: alone(server.artifact, ids, 40) for n, ids in prompts().items()
    }
    for reply in replies.values():
        assert len(reply.logprobs) == len(reply.tokens)
        assert max(reply.logprobs) <= 0
        assert reply.finish == (LENGTH if len(reply.tokens) == 40 else STOP)


def test_a_drawn_reply_repeats_with_its_seed(server: Server) -> None:
    ids = prompts()[2]
    first, again, other = (Stream(server, ids, 30, temperature=3.0, seed=seed).reply().tokens for seed in (5, 5, 6))
    assert first == again
    assert first != other


def test_a_prompt_without_room_is_refused_in_words(server: Server) -> None:
    with pytest.raises(triton.InferenceServerException, match="the prompt has 256 tokens; between 1 and 255 fit"):
        Stream(server, [7] * ROOM, 5).reply()


def test_a_token_outside_the_vocabulary_is_refused_in_words(server: Server) -> None:
    with pytest.raises(triton.InferenceServerException, match=f"between 0 and {VOCABULARY - 1}"):
        Stream(server, [7, VOCABULARY], 5).reply()


def test_a_negative_seed_is_a_seed(server: Server) -> None:
    assert Stream(server, [7, 8], 3, temperature=1.0, seed=-5).reply().tokens


def gauge(server: Server, name: str) -> float:
    with socket.create_connection(("127.0.0.1", server.ports.metrics)) as connection:
        connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
        page = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    (line,) = [line for line in page.splitlines() if line.startswith(f"{name}{{")]
    return float(line.rsplit(" ", 1)[1])


def test_cancelled_queries_free_their_slots(server: Server) -> None:
    streams = [Stream(server, [9, 9, 9], ROOM, temperature=9.0, seed=n) for n in range(40)]
    for stream in streams:
        stream.cancel()
    reply = Stream(server, prompts()[1], 8).reply()
    assert reply.tokens == alone(server.artifact, prompts()[1], 8)
    wait_for(lambda: is_idle(server), 5, "idle engine")


def is_idle(server: Server) -> bool:
    return gauge(server, names.METRIC_ENGINE_RUNNING) + gauge(server, names.METRIC_ENGINE_WAITING) == 0


async def test_the_front_s_way_to_ask_gets_the_same_replies(server: Server) -> None:
    client = EventClient(server.ports, "tiny")
    try:
        for ids in prompts().values():
            pieces = [piece async for piece in client.generate(Generation(ids, 12, top_logprobs=2))]
            tokens = [token for piece in pieces for token in piece.token_ids]
            assert tokens == alone(server.artifact, ids, 12)
            likeliest = [choices[0][0] for piece in pieces for choices in piece.alternatives]
            assert likeliest == tokens
    finally:
        await client.close()


async def test_the_front_cancels_queries_that_run_and_that_wait(server: Server) -> None:
    """Triton itself notices only those to which it writes."""
    client, before = EventClient(server.ports, "tiny"), gauge(server, names.METRIC_ENGINE_PROMPT_TOKENS)

    async def ask(seed: int) -> None:
        async for _ in client.generate(Generation([9, 9, 9], ROOM - 4, Sampling(temperature=9.0, seed=seed))):
            pass

    try:
        asking = [asyncio.create_task(ask(seed)) for seed in range(MANY)]
        await asyncio.to_thread(wait_for, lambda: gauge(server, names.METRIC_ENGINE_WAITING) > 0, 5, "queue")
        for task in asking:
            task.cancel()
        await asyncio.to_thread(wait_for, lambda: is_idle(server), 20, "idle engine")
        await asyncio.gather(*asking, return_exceptions=True)
    finally:
        await client.close()
    assert gauge(server, names.METRIC_ENGINE_PROMPT_TOKENS) - before < 3 * MANY


def test_many_clients_at_once_lose_nothing(server: Server) -> None:
    finished: list[int] = []

    def ask(number: int) -> None:
        finished.append(Stream(server, prompts()[number % 8], 1 + number % 20).reply().finish)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(finished) == 24
    assert set(finished) <= {STOP, LENGTH}
