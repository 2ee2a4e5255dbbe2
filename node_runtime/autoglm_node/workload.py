"""What a kind of model brings to the life of a worker: its tokeniser, its engine's words, who answers its queries."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from autoglm_api import names
from autoglm_api.config import EngineSpec
from autoglm_api.spec import ModelKind
from autoglm_node.admission import Admission
from autoglm_node.chat import Chat
from autoglm_node.embedding.client import VectorClient
from autoglm_node.embedding.front import VectorFront
from autoglm_node.embedding.grpc_front import VectorServicer
from autoglm_node.embedding.repository import buckets_of
from autoglm_node.embedding.service import VectorService
from autoglm_node.embedding.words import Words
from autoglm_node.event_client import EventClient
from autoglm_node.failure import FatalError
from autoglm_node.front import Front
from autoglm_node.front import Probe as Ready
from autoglm_node.grpc_front import Servicer, TextServicer
from autoglm_node.metrics import Metrics
from autoglm_node.phases import Phase
from autoglm_node.query import Generation, Message
from autoglm_node.repository import CPU_BACKENDS
from autoglm_node.service import Service
from autoglm_node.settings import TritonPorts
from autoglm_node.text_front import TextFront
from autoglm_node.triton_client import TensorRTClient, TextModel, TritonModel

Body = tuple[str, bytes]
"""A path and what is posted there."""

_AGAIN: Final = 8  # Python makes code fast that has run some times
_REPLY_TOKENS: Final = 4


class Handlers(NamedTuple):
    """Who answers queries, by HTTP and by gRPC."""

    front: Front
    servicer: Servicer


class Workload(ABC):
    """One model of a node, known by its artefact; its engine is spoken to from `connect` on."""

    def __init__(self, spec: EngineSpec) -> None:
        """Take the spec whose model it is."""
        self.spec = spec

    @abstractmethod
    def connect(self, ports: TritonPorts) -> TritonModel:
        """Speak to Triton on these ports of loopback from now on."""

    @abstractmethod
    async def probe(self) -> None:
        """Let the engine answer one small, real query; EngineError when it does not."""

    @abstractmethod
    def handlers(self, admission: Admission, metrics: Metrics, ready: Ready, tell: Callable[[], None]) -> Handlers:
        """Return who answers queries; `tell` is called when the engine has failed one."""

    @abstractmethod
    def rehearsal(self) -> Iterator[Body]:
        """Yield queries of every kind and length that clients may ask."""

    def lengths(self) -> list[int]:
        """Return a prompt length for each bucket, as long as the bucket and the model allow."""
        return sorted({bucket.max_tokens for bucket in buckets_of(self.spec)})


class TextWorkload(Workload):
    """A model that writes text."""

    def __init__(self, spec: EngineSpec) -> None:
        """Read the artefact's tokeniser and chat format; what they raise is theirs."""
        super().__init__(spec)
        self._chat = Chat.load(Path(spec.model_path))

    def connect(self, ports: TritonPorts) -> TritonModel:
        """Speak to Triton on these ports of loopback from now on."""
        self._client = self._connected(ports)
        return self._client

    def _connected(self, ports: TritonPorts) -> TextModel:
        if self.spec.backend in CPU_BACKENDS:
            return EventClient(ports, self.spec.model_name)
        return TensorRTClient(ports.grpc_address, self.spec.model_name, self._chat.format.stop_ids)

    async def probe(self) -> None:
        """Let the engine produce one token."""
        await self._client.first_token(Generation(self._chat.prompt_ids([Message("user", "?")]), max_tokens=1))

    def handlers(self, admission: Admission, metrics: Metrics, ready: Ready, tell: Callable[[], None]) -> Handlers:
        """Return who answers queries; `tell` is called when the engine has failed one."""
        service = Service(self.spec, self._chat, self._client, admission, metrics, tell)
        return Handlers(TextFront(service, metrics, ready), TextServicer(service, metrics, ready))

    def rehearsal(self) -> Iterator[Body]:
        """Yield chats and completions, streaming and not, of every bucket's length."""
        token = self._chat.text_ids("a")[-1]
        for stream in (False, True):
            asked: dict[str, Any] = {"model": self.spec.model_name, "stream": stream, "max_tokens": _REPLY_TOKENS}
            for length in self.lengths():
                prompt = [token] * max(1, length - _REPLY_TOKENS)
                yield names.PATH_COMPLETIONS, orjson.dumps({**asked, "prompt": prompt})
            for text in self._questions():
                yield names.PATH_CHAT, orjson.dumps({**asked, "messages": [{"role": "user", "content": text}]})

    def _questions(self) -> Iterator[str]:
        """Yield texts of several lengths, as far as the model has room for them."""
        for number in range(_AGAIN):
            text = "?" + " What is it?" * number
            fits = len(self._chat.prompt_ids([Message("user", text)])) < self.spec.max_sequence_tokens
            yield text if fits else "?"


class VectorWorkload(Workload):
    """A model that makes vectors."""

    def __init__(self, spec: EngineSpec) -> None:
        """Read the artefact's tokeniser and format; what they raise is theirs."""
        super().__init__(spec)
        self._words = Words.load(Path(spec.model_path))

    def connect(self, ports: TritonPorts) -> TritonModel:
        """Speak to Triton on these ports of loopback from now on."""
        self._client = VectorClient(ports.grpc_address, self.spec.model_name, self.spec.backend, buckets_of(self.spec))
        return self._client

    async def probe(self) -> None:
        """Let the engine make one vector."""
        await self._client.embed([self._words.ids("?")])

    def handlers(self, admission: Admission, metrics: Metrics, ready: Ready, tell: Callable[[], None]) -> Handlers:
        """Return who answers queries; `tell` is called when the engine has failed one."""
        service = VectorService(self.spec, self._words, self._client, admission, metrics, tell)
        return Handlers(VectorFront(service, metrics, ready), VectorServicer(service, metrics, ready))

    def rehearsal(self) -> Iterator[Body]:
        """Yield texts of every bucket's length, and short ones."""
        token = self._words.ids("a")[0]
        for tokens in (*self.lengths(), *[1] * _AGAIN):
            body = {"model": self.spec.model_name, "input": [token] * tokens, "encoding_format": "base64"}
            yield names.PATH_EMBEDDINGS, orjson.dumps(body)


def load(spec: EngineSpec) -> Workload:
    """Return the workload of a spec.

    Raises:
        FatalError: EXIT_BAD_REPOSITORY, the artefact's files cannot be read.
    """
    try:
        return VectorWorkload(spec) if spec.model_kind is ModelKind.EMBEDDING else TextWorkload(spec)
    # pydantic's complaint is a ValueError; the tokeniser, written in Rust, raises plain Exception and nothing else.
    except Exception as error:  # noqa: BLE001
        message = f"{spec.model_path}: tokenizer.json, chat.json or encoder.json cannot be used: {error}"
        raise FatalError(Phase.VALIDATE, "BadArtifact", message, names.EXIT_BAD_REPOSITORY) from None
