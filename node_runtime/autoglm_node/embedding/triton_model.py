"""A text encoder as a model of Triton's Python backend; a model directory's `1/model.py` imports this.

    from autoglm_node.embedding.triton_model import TritonPythonModel

config.pbtxt: `parameters` artifact_dir, threads and batching; inputs `input_ids` INT32 [-1], all texts of a query one
after the other, and `lengths` INT32 [-1], the tokens of each; output `embedding` FP32 [-1, dimensions]. Decoupled, so
that texts of many queries are read in one pass: Triton's thread only enqueues, one thread of ours reads.
"""

import json
import queue
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
import triton_python_backend_utils as pb_utils

from autoglm_api import names
from autoglm_api.spec import Batching
from autoglm_node.embedding.encoder import load
from autoglm_node.embedding.work import Answer, Work
from autoglm_node.engine.metric_family import gauge_family
from autoglm_node.engine.own_thread import CANCEL_CHECK_SECONDS, IDLE_SECONDS, OwnThread, arrived
from autoglm_node.engine.packing import PARAMETER_BATCHING, batching_for
from autoglm_node.engine.triton_tensor import tensor

_FINAL: Final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL


class TritonPythonModel:
    """Serves one model directory."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the model and start the thread that reads."""
        parameters = {
            name: told["string_value"] for name, told in json.loads(args["model_config"])["parameters"].items()
        }
        encoder = load(Path(parameters["artifact_dir"]), int(parameters["threads"]))
        batching = batching_for(Batching.model_validate_json(parameters[PARAMETER_BATCHING]))
        self._work = Work(encoder.encode, batching)
        self._delay = batching.queue_delay_seconds
        self._senders: dict[int, Any] = {}
        self._arrivals: queue.SimpleQueue[tuple[int, Any, list[list[int]]]] = queue.SimpleQueue()
        self._numbers = 0
        self._asked_at = time.monotonic()
        self._gauges = _gauges(args["model_name"])
        self._thread = OwnThread("encoder", self._round, self._refuse)

    def execute(self, requests: list[Any]) -> None:
        """Queue the requests; their answers come from our own thread."""
        for request in requests:
            self._numbers += 1
            self._arrivals.put((self._numbers, request.get_response_sender(), _texts(request)))

    def finalize(self) -> None:
        """Stop the thread; Triton calls this when no request is open."""
        self._thread.stop()

    def _round(self) -> None:
        self._receive()
        self._drop_abandoned()
        if self._work.waiting:
            for answer in self._work.step():
                self._deliver(answer)
        self._publish()

    def _refuse(self, reason: str) -> None:
        for sender in self._senders.values():
            sender.send(pb_utils.InferenceResponse(error=pb_utils.TritonError(reason)), _FINAL)

    def _receive(self) -> None:
        """Take in what arrived; wait a little if there is nothing else to do."""
        idle = not self._work.waiting
        for count, arrival in enumerate(arrived(self._arrivals, IDLE_SECONDS if idle else 0)):
            if idle and self._delay and not count:
                time.sleep(self._delay)
            self._accept(*arrival)

    def _accept(self, number: int, sender: Any, texts: list[list[int]]) -> None:
        self._senders[number] = sender
        self._work.submit(number, texts)

    def _drop_abandoned(self) -> None:
        if time.monotonic() - self._asked_at < CANCEL_CHECK_SECONDS:
            return
        self._asked_at = time.monotonic()
        for number in [number for number, sender in self._senders.items() if sender.is_cancelled()]:
            self._work.cancel(number)
            self._senders.pop(number).send(flags=_FINAL)

    def _deliver(self, answer: Answer) -> None:
        response = pb_utils.InferenceResponse([tensor("embedding", np.ascontiguousarray(answer.vectors))])
        self._senders.pop(answer.query).send(response, _FINAL)

    def _publish(self) -> None:
        counts = self._work.counts
        for name, value in (
            (names.METRIC_ENGINE_WAITING, self._work.waiting),
            (names.METRIC_ENGINE_PROMPT_TOKENS, counts.prompt_tokens),
            (names.METRIC_ENGINE_PADDING_TOKENS, counts.padded_tokens - counts.prompt_tokens),
        ):
            self._gauges[name].set(value)


def _texts(request: Any) -> list[list[int]]:
    """Return the tokens of each text; they are copied, since Triton takes the memory of a request back."""
    ids, lengths = (
        np.array(np.from_dlpack(pb_utils.get_input_tensor_by_name(request, name))).ravel()
        for name in ("input_ids", "lengths")
    )
    return [text.tolist() for text in np.split(ids, np.cumsum(lengths)[:-1])]


def _gauges(model: str) -> dict[str, Any]:
    """Gauges that Triton merges into its own metrics page."""
    described = {
        names.METRIC_ENGINE_WAITING: "Texts that are not read yet",
        names.METRIC_ENGINE_PROMPT_TOKENS: "Tokens read since the engine started",
        names.METRIC_ENGINE_PADDING_TOKENS: "Tokens of padding read beside them",
    }
    return {name: gauge_family(name, text).Metric(labels={"model": model}) for name, text in described.items()}
