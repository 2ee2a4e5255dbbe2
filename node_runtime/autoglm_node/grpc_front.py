"""The Open Inference Protocol over gRPC, as Triton's clients speak it, beside the HTTP front.

The same query, seats, deadlines and refusals; a call that is cancelled frees its slot. A stream's queries are answered
in their order, each as one response per piece of text and a last one that says so (`triton_final_response`).
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Final

import grpc
from tritonclient.grpc import service_pb2 as pb
from tritonclient.grpc.service_pb2_grpc import (
    GRPCInferenceServiceServicer,
    add_GRPCInferenceServiceServicer_to_server,
)

from autoglm_api import names
from autoglm_api.config import EngineSpec
from autoglm_node import __version__, model_control, statistics
from autoglm_node import inference_protocol as oip
from autoglm_node.accounting import counted
from autoglm_node.failure import RefusalError
from autoglm_node.front import Probe, body_limit, deadline_of
from autoglm_node.metrics import Metrics
from autoglm_node.query import Query
from autoglm_node.service import Reply, Service, check_model, serves

log = logging.getLogger(__name__)

FINAL: Final = "triton_final_response"
TIMEOUT: Final = "timeout"  # of one query, in microseconds; the one name that Triton gives it
_CODES: Final = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    404: grpc.StatusCode.NOT_FOUND,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    503: grpc.StatusCode.UNAVAILABLE,
    504: grpc.StatusCode.DEADLINE_EXCEEDED,
}
Context = Any  # grpc.aio.ServicerContext; the package has no types


class GrpcServer:
    """Listens on one port."""

    def __init__(self, servicer: "Servicer") -> None:
        """Offer the calls of a servicer."""
        limit = body_limit(servicer.spec)
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", limit), ("grpc.so_reuseport", 0)])
        add_GRPCInferenceServiceServicer_to_server(servicer, self._server)

    async def start(self, host: str, port: int) -> int:
        """Listen; returns the port, also where 0 let the system choose. RuntimeError when it is taken."""
        address = f"[{host}]" if ":" in host else host
        bound = int(self._server.add_insecure_port(f"{address}:{port}"))
        await self._server.start()
        log.info("listening for gRPC on %s:%d", address, bound)
        return bound

    async def close(self, grace_seconds: float = 0.0) -> None:
        """Tell clients to go elsewhere, wait for calls at most this long, and close."""
        await self._server.stop(grace_seconds)


class Servicer(GRPCInferenceServiceServicer, ABC):  # type: ignore[misc]  # generated code has no types
    """What a worker offers; every other call of the protocol is UNIMPLEMENTED."""

    def __init__(self, spec: EngineSpec, metrics: Metrics, ready: Probe) -> None:
        """`ready` answers the protocol's own readiness calls."""
        self.spec = spec
        self.metrics = metrics
        self._ready = ready

    @abstractmethod
    def description(self, model: str, platform: str) -> dict[str, Any]:
        """Return what the model takes and gives."""

    @abstractmethod
    async def answered(self, request: Any, context: Context) -> Any:
        """Return the one response to a request; RefusalError when there is none."""

    @abstractmethod
    def responses(self, request: Any, context: Context) -> AsyncGenerator[Any, None]:
        """Yield the responses to a request of a stream, the last one marked; RefusalError ends them."""

    async def ServerLive(self, _request: Any, _context: Context) -> Any:  # noqa: N802 - the protocol's name
        """Whether the process runs."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Context) -> Any:  # noqa: N802
        """Whether a query would be answered."""
        return pb.ServerReadyResponse(ready=self._ready()[0])

    async def ModelReady(self, request: Any, _context: Context) -> Any:  # noqa: N802
        """Whether a query for this model would be answered."""
        return pb.ModelReadyResponse(ready=serves(self.spec, request.name) and self._ready()[0])

    async def ServerMetadata(self, _request: Any, _context: Context) -> Any:  # noqa: N802
        """Who this is."""
        return pb.ServerMetadataResponse(name=names.PART_OF, version=__version__)

    async def ModelMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        """What the model takes and gives."""

        async def described() -> Any:
            check_model(self.spec, request.name)
            platform = f"{names.PART_OF}_{self.spec.backend.lower()}"
            return pb.ModelMetadataResponse(**self.description(request.name, platform))

        return await _told(context, described)

    async def ModelConfig(self, request: Any, context: Context) -> Any:  # noqa: N802
        """What the model takes and gives, in the words of Triton's configuration."""

        async def described() -> Any:
            check_model(self.spec, request.name)
            return pb.ModelConfigResponse(config=self._config(request.name))

        return await _told(context, described)

    def _config(self, model: str) -> Any:
        return model_control.config_of(self.description(model, names.PART_OF))

    async def RepositoryIndex(self, request: Any, _context: Context) -> Any:  # noqa: N802
        """What the repository holds."""
        models = model_control.index(self.spec.model_name, self._ready(), only_ready=request.ready)
        return pb.RepositoryIndexResponse(models=models)

    async def RepositoryModelLoad(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Nothing is done for a model that is loaded; see model_control."""

        async def checked() -> Any:
            check_model(self.spec, request.model_name)
            model_control.check_load(self._config(request.model_name), _parameters(request), self._ready())
            return pb.RepositoryModelLoadResponse()

        return await _told(context, checked)

    async def RepositoryModelUnload(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Refused; see model_control."""

        async def refused() -> Any:
            check_model(self.spec, request.model_name)
            model_control.refuse_unload()

        return await _told(context, refused)

    async def ModelStatistics(self, request: Any, context: Context) -> Any:  # noqa: N802
        """How many queries ended how."""

        async def described() -> Any:
            model = request.name or self.spec.model_name
            check_model(self.spec, model)
            told = statistics.described(model, oip.MODEL_VERSION, self.metrics.took)
            return pb.ModelStatisticsResponse(model_stats=[told])

        return await _told(context, described)

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802
        """Answer one query."""

        async def answered() -> Any:
            with counted(self.metrics):
                check_model(self.spec, request.model_name)
                return await self.answered(request, context)

        return await _told(context, answered)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:  # noqa: N802
        """Answer the queries of a stream one after the other."""
        async for request in requests:
            async with aclosing(self._counted_responses(request, context)) as responses:
                try:
                    async for response in responses:
                        yield pb.ModelStreamInferResponse(infer_response=response)
                except RefusalError as refusal:
                    # As Triton does: one query's error does not end the stream of the others.
                    failed = pb.ModelInferResponse(id=request.id, model_name=request.model_name)
                    yield pb.ModelStreamInferResponse(error_message=refusal.message, infer_response=failed)

    async def _counted_responses(self, request: Any, context: Context) -> AsyncGenerator[Any, None]:
        with counted(self.metrics):
            check_model(self.spec, request.model_name)
            async with aclosing(self.responses(request, context)) as responses:
                async for response in responses:
                    yield response


class TextServicer(Servicer):
    """The calls of a model that writes text."""

    def __init__(self, service: Service, metrics: Metrics, ready: Probe) -> None:
        """`ready` answers the protocol's own readiness calls."""
        super().__init__(service.spec, metrics, ready)
        self._service = service

    def description(self, model: str, platform: str) -> dict[str, Any]:
        """Return what the model takes and gives."""
        return oip.model_description(model, platform)

    async def answered(self, request: Any, context: Context) -> Any:
        """Return the whole text."""
        async with self._service.answer(_query(request), deadline_of_call(request, context)) as (reply,):
            text = "".join([piece async for piece in reply.texts()])
        context.set_trailing_metadata(self._metadata(reply))
        return _response(request, text)

    async def responses(self, request: Any, context: Context) -> AsyncGenerator[Any, None]:
        """Yield one response for each piece of text, and a last one without."""
        async with (
            self._service.answer(_query(request), deadline_of_call(request, context)) as (reply,),
            aclosing(reply.texts()) as texts,
        ):
            async for text in texts:
                if text:
                    yield _response(request, text, last=False)
        yield _response(request, "", last=True)

    def _metadata(self, reply: Reply) -> tuple[tuple[str, str], ...]:
        return (
            (names.HEADER_REVISION, self.spec.revision),
            (names.HEADER_PROMPT_TOKENS, str(reply.prompt_tokens)),
            (names.HEADER_CONFIDENCE, f"{reply.tally.confidence:.4f}"),
        )


def _parameters(request: Any) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("parameter_choice")) for name, value in request.parameters.items()}


def _query(request: Any) -> Query:
    refuse_other_outputs(request, oip.TEXT_OUTPUT)
    return oip.query_of(tensors_of(request), b"".join(request.raw_input_contents))


def refuse_other_outputs(request: Any, only: str) -> None:
    """Refuse a request for an output that the model does not have."""
    if any(output.name != only for output in request.outputs):
        raise RefusalError(400, f"there is one output, {only!r}", code="invalid_value")


def tensors_of(request: Any) -> list[oip.Tensor]:
    """Return the inputs of a request as the HTTP protocol writes them; raw contents follow one after the other."""
    return [_tensor(*given) for given in _inputs(request)]


def _inputs(request: Any) -> list[tuple[Any, bytes | None]]:
    """Return the inputs, each with its raw bytes where the client sent those."""
    raw = list(request.raw_input_contents)
    if raw and len(raw) != len(request.inputs):
        message = f"there are {len(request.inputs)} inputs but raw contents of {len(raw)}"
        raise RefusalError(400, message, code="invalid_value")
    return list(zip(request.inputs, raw or [None] * len(request.inputs), strict=True))


def _tensor(given: Any, raw: bytes | None) -> oip.Tensor:
    tensor = oip.Tensor(name=given.name, shape=list(given.shape), datatype=given.datatype)
    if raw is not None:
        tensor.parameters = {"binary_data_size": len(raw)}
        return tensor
    contents = given.contents
    texts = [element.decode(errors="replace") for element in contents.bytes_contents]
    tensor.data = [*texts, *contents.int_contents, *contents.int64_contents, *contents.fp32_contents]
    return tensor


def response_to(request: Any, *, last: bool | None = None) -> Any:
    """Return an empty response; `last` None: not of a stream, there is only this one."""
    response = pb.ModelInferResponse(model_name=request.model_name, model_version=oip.MODEL_VERSION, id=request.id)
    if last is not None:
        response.parameters[FINAL].bool_param = last
    return response


def _response(request: Any, text: str, *, last: bool | None = None) -> Any:
    response = response_to(request, last=last)
    if not last:
        response.outputs.add(name=oip.TEXT_OUTPUT, datatype="BYTES", shape=[1])
        response.raw_output_contents.append(oip.binary_text(text))
    return response


def deadline_of_call(request: Any, context: Context) -> float | None:
    """Return the seconds that are left: the least of the call's deadline, our header's and the query's timeout."""
    header = dict(context.invocation_metadata() or ()).get(names.HEADER_DEADLINE)
    given = [context.time_remaining(), deadline_of(header)]
    if (timeout := request.parameters[TIMEOUT].int64_param if TIMEOUT in request.parameters else 0) > 0:
        given.append(timeout / 1e6)
    return min((seconds for seconds in given if seconds is not None), default=None)


async def _told(context: Context, work: Callable[[], Awaitable[Any]]) -> Any:
    """Await the work; a refusal becomes the call's status, with the refusal's headers as trailing metadata."""
    try:
        return await work()
    except RefusalError as refusal:
        code = _CODES.get(refusal.status, grpc.StatusCode.INTERNAL)
        return await context.abort(code, refusal.message, refusal.headers)
