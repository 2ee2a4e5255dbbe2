"""The engine as a model of Triton's Python backend; a model directory's `1/model.py` imports this.

    from autoglm_node.engine.triton_model import TritonPythonModel

Decoupled: a query's first token is sent at once, later ones together every few milliseconds (a
response costs Triton more than a token costs the model), and the last response carries the final
flag. Triton calls `execute` on its own thread, which only enqueues; one thread of ours drives the loop.
A query that is given up is noticed by Triton's own word, or by a request that names it (`cancels`).
"""

import json
import queue
import time
from collections import deque
from pathlib import Path
from typing import Any, Final

import numpy as np
import triton_python_backend_utils as pb_utils

from autoglm_api.spec import Backend, Batching, Precision
from autoglm_node.chat import CHAT_FILE, ChatFormat
from autoglm_node.engine.artifact import Runs, load_model
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.gauges import Gauges
from autoglm_node.engine.own_thread import CANCEL_CHECK_SECONDS, IDLE_SECONDS, OwnThread, arrived
from autoglm_node.engine.packing import PARAMETER_BATCHING, batching_for
from autoglm_node.engine.reclaim import PARAMETER_FILE, PARAMETER_INTERVAL, Reclaimer, reclaim
from autoglm_node.engine.sequence import FinishReason, Sequence, TokenEvent, TooLongError
from autoglm_node.engine.stepping import Stepper, adaptive_for
from autoglm_node.engine.triton_tensor import tensor
from autoglm_node.events import CANCELS, NUMBER
from autoglm_node.sampling import Sampling

FLUSH_SECONDS: Final = 0.005
"""How long tokens after the first may wait to be sent together."""

_SEEDS: Final = 1 << 63  # numpy takes no negative seeds, clients send some
_CANCELS_REMEMBERED: Final = 256  # of queries that are not here: answered, or overtaken by their own cancelling

_FINAL: Final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class _Query:
    """A query inside the engine: what it asked and where its answers go."""

    def __init__(self, sequence: Sequence, number: int, request: Any) -> None:
        self.sequence = sequence
        self.number = number
        self._sender = request.get_response_sender()
        self._unsent: list[TokenEvent] = []
        self._sent_at = float("-inf")

    @property
    def abandoned(self) -> bool:
        """Whether the client is gone."""
        return bool(self._sender.is_cancelled())

    def answer(self, event: TokenEvent, now: float) -> None:
        """Take one token and send what is due at `now`; the last token closes the query."""
        if event.finish_reason is not FinishReason.STOP:
            self._unsent.append(event)
        if event.finish_reason or now - self._sent_at >= FLUSH_SECONDS:
            self._sender.send(_response(self._unsent, event.finish_reason), _FINAL if event.finish_reason else 0)
            self._unsent = []
            self._sent_at = now

    def refuse(self, reason: str) -> None:
        """End the query with an error that its client sees."""
        error = pb_utils.TritonError(reason)
        self._sender.send(pb_utils.InferenceResponse(error=error), _FINAL)

    def close(self) -> None:
        """End the query without another answer."""
        self._sender.send(flags=_FINAL)


def _response(events: list[TokenEvent], reason: FinishReason) -> Any:
    tensors = [
        tensor("token_ids", np.array([event.token_id for event in events], dtype=np.int32)),
        tensor("logprobs", np.array([event.logprob for event in events], dtype=np.float32)),
        tensor("finish_reason", np.array([reason], dtype=np.int32)),
    ]
    if top := [pair for event in events for pair in event.likeliest]:
        tensors.append(tensor("top_token_ids", np.array([token for token, _ in top], dtype=np.int32)))
        tensors.append(tensor("top_logprobs", np.array([logprob for _, logprob in top], dtype=np.float32)))
    return pb_utils.InferenceResponse(tensors)


class TritonPythonModel:
    """Serves one model directory.

    config.pbtxt: `parameters` artifact_dir, slots, max_sequence_tokens, backend, precision and threads; inputs
    `input_ids` INT32 [-1], `max_tokens` INT32 [1] and, all optional and [1], the fields of `Sampling`,
    `top_logprobs` INT32 and the numbers by which a query is cancelled (see `events`); outputs `token_ids` INT32 [-1],
    `logprobs` FP32 [-1], `finish_reason` INT32 [1] (see `FinishReason`; the stop token itself is not among the tokens)
    and, where asked for, `top_token_ids` INT32 [-1], `top_logprobs` FP32 [-1]: the likeliest of each token, one after
    the other.
    Decoupled, no batching.
    """

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model and start the loop's thread."""
        parameters = json.loads(args["model_config"])["parameters"]
        directory = Path(_parameter(parameters, "artifact_dir"))
        slots, room = (int(_parameter(parameters, name)) for name in ("slots", "max_sequence_tokens"))
        model = load_model(directory, slots=slots, max_sequence_tokens=room, runs=_runs(parameters))
        batching = Batching.model_validate_json(_parameter(parameters, PARAMETER_BATCHING))
        bounds = batching_for(batching)
        self._loop = DecodeLoop(model, slots, room, bounds)
        self._stepper = Stepper(self._loop, adaptive_for(batching, bounds), time.monotonic)
        self._vocabulary = model.vocabulary
        self._stop_ids = frozenset(ChatFormat.model_validate_json((directory / CHAT_FILE).read_bytes()).stop_ids)
        self._queries: dict[int, _Query] = {}
        self._arrivals: queue.SimpleQueue[_Query | int] = queue.SimpleQueue()
        self._cancelled: deque[int] = deque(maxlen=_CANCELS_REMEMBERED)
        self._numbers = 0
        self._asked_at = time.monotonic()
        self._gauges = Gauges(args["model_name"], bounds.buckets, slots * room)
        self._reclaimer = _reclaimer(parameters)
        self._reclaims = self._reclaimed_bytes = 0
        self._thread = OwnThread("decode-loop", self._round, self._refuse)

    def execute(self, requests: list[Any]) -> None:
        """Queue the requests; their answers come from the loop's thread."""
        for request in requests:
            if cancelled := int(_value(request, CANCELS, 0)):
                self._arrivals.put(cancelled)
                request.get_response_sender().send(_response([], FinishReason.STOP), _FINAL)
                continue
            self._numbers += 1
            sequence = _sequence(self._numbers, request, self._stop_ids)
            self._arrivals.put(_Query(sequence, int(_value(request, NUMBER, 0)), request))

    def finalize(self) -> None:
        """Stop the loop; Triton calls this when no request is open."""
        self._thread.stop()

    def _round(self) -> None:
        self._receive()
        self._drop_abandoned()
        for event in self._stepper.step():
            self._deliver(event)
        self._reclaim_memory()
        self._gauges.publish(self._loop, self._reclaims, self._reclaimed_bytes)

    def _refuse(self, reason: str) -> None:
        for query in self._queries.values():
            query.refuse(reason)

    def _receive(self) -> None:
        """Take in what arrived; wait a little if there is nothing else to do."""
        wait = IDLE_SECONDS if self._loop.idle else self._loop.held_seconds(time.monotonic())
        for arrival in arrived(self._arrivals, wait):
            if isinstance(arrival, _Query):
                self._accept(arrival)
            else:
                self._cancel(arrival)

    def _accept(self, query: _Query) -> None:
        if query.number in self._cancelled:
            query.close()
            return
        # One bad id would fail the whole batch it runs in.
        if not all(0 <= token < self._vocabulary for token in query.sequence.input_ids):
            query.refuse(f"input_ids must be between 0 and {self._vocabulary - 1}")
            return
        try:
            self._stepper.submit(query.sequence)
        except TooLongError as error:
            query.refuse(str(error))
        else:
            self._queries[query.sequence.id] = query

    def _drop_abandoned(self) -> None:
        if time.monotonic() - self._asked_at < CANCEL_CHECK_SECONDS:
            return
        self._asked_at = time.monotonic()
        for query in [query for query in self._queries.values() if query.abandoned]:
            self._drop(query)

    def _cancel(self, number: int) -> None:
        found = [query for query in self._queries.values() if query.number == number]
        for query in found:
            self._drop(query)
        if not found:
            self._cancelled.append(number)

    def _drop(self, query: _Query) -> None:
        self._loop.cancel(query.sequence.id)
        self._queries.pop(query.sequence.id).close()

    def _deliver(self, event: TokenEvent) -> None:
        self._queries[event.id].answer(event, time.monotonic())
        if event.finish_reason:
            del self._queries[event.id]

    def _reclaim_memory(self) -> None:
        if self._reclaimer.due(time.monotonic(), idle=self._loop.idle):
            self._reclaims += 1
            self._reclaimed_bytes += reclaim()


def _parameter(parameters: dict[str, dict[str, str]], name: str) -> str:
    if name not in parameters:
        raise pb_utils.TritonModelException(f"config.pbtxt lacks the parameter {name}")
    return parameters[name]["string_value"]


def _runs(parameters: dict[str, dict[str, str]]) -> Runs:
    backend, precision = (_parameter(parameters, name) for name in ("backend", "precision"))
    return Runs(Backend(backend), Precision(precision), int(_parameter(parameters, "threads")))


def _reclaimer(parameters: dict[str, dict[str, str]]) -> Reclaimer:
    interval = float(_parameter(parameters, PARAMETER_INTERVAL))
    return Reclaimer(Path(_parameter(parameters, PARAMETER_FILE)), interval, time.monotonic())


def _value(request: Any, name: str, default: float) -> Any:
    given = pb_utils.get_input_tensor_by_name(request, name)
    return default if given is None else np.from_dlpack(given).flat[0]


def _sequence(number: int, request: Any, stop_ids: frozenset[int]) -> Sequence:
    def value(name: str, default: float) -> Any:
        return _value(request, name, default)

    ids: Any = np.from_dlpack(pb_utils.get_input_tensor_by_name(request, "input_ids"))
    return Sequence(
        id=number,
        input_ids=tuple(ids.ravel().tolist()),
        max_tokens=max(1, int(value("max_tokens", 1))),
        sampling=Sampling(
            temperature=float(value("temperature", 0.0)),
            seed=int(value("seed", 0)) % _SEEDS,
            top_p=float(value("top_p", 1.0)),
            top_k=max(0, int(value("top_k", 0))),
            min_p=float(value("min_p", 0.0)),
            presence_penalty=float(value("presence_penalty", 0.0)),
            frequency_penalty=float(value("frequency_penalty", 0.0)),
        ),
        stop_ids=stop_ids,
        top_logprobs=max(0, int(value("top_logprobs", 0))),
    )
