"""A client by gRPC of a server that goes away: one channel, one call after the other."""

from typing import Any, Final, NamedTuple

import grpc
import numpy as np
from tritonclient.grpc import InferInput, service_pb2, service_pb2_grpc

from autoglm_api import names

_PATIENCE_SECONDS: Final = 30.0
_REFUSED: Final = ("failed to connect", "connection refused", "goaway", "server is stopping", "shutting down")


class GrpcTarget(NamedTuple):
    """Where to ask what."""

    address: str
    request: Any

    @classmethod
    def node(cls, address: str, tokens: int = 8) -> "GrpcTarget":
        """Ask a node runtime for a text of so many tokens."""
        text, wanted = InferInput("text_input", [1], "BYTES"), InferInput("max_tokens", [1], "INT32")
        text.set_data_from_numpy(np.array([b"price?"], dtype=object))
        wanted.set_data_from_numpy(np.array([tokens], dtype=np.int32))
        return cls(address, _request("glm-test", [text, wanted]))

    @classmethod
    def triton(cls, address: str) -> "GrpcTarget":
        """Ask a plain Triton with the model `m` (echo)."""
        given = InferInput("x", [1], "INT32")
        given.set_data_from_numpy(np.array([1], dtype=np.int32))
        return cls(address, _request("m", [given]))


class GrpcCaller:
    """One channel to a target."""

    def __init__(self, target: GrpcTarget) -> None:
        """Connect when the first call is made."""
        self._channel = grpc.insecure_channel(target.address)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._request = target.request

    def ask(self) -> str:
        """Ask once; returns "answered", "elsewhere" (refused before it began) or what ended an accepted call."""
        try:
            self._stub.ModelInfer(self._request, timeout=_PATIENCE_SECONDS)
        except grpc.RpcError as error:
            return "elsewhere" if _refused(error) else f"{error.code()}: {error.details()}"
        return "answered"

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _refused(error: Any) -> bool:
    """Tell whether the server never began with a call: it said so, or nobody was there."""
    if error.code() is not grpc.StatusCode.UNAVAILABLE:
        return False
    told = {key for key, _ in error.trailing_metadata() or ()}
    return names.HEADER_DRAINING in told or any(words in str(error.details()).lower() for words in _REFUSED)


def _request(model: str, inputs: list[InferInput]) -> Any:
    request = service_pb2.ModelInferRequest(model_name=model)
    for one in inputs:
        request.inputs.append(one._get_tensor())  # noqa: SLF001 - the client has no public way to build a request
        request.raw_input_contents.append(one._get_content())  # noqa: SLF001
    return request
