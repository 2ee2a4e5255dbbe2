"""The Open Inference Protocol over gRPC, as Triton's clients speak it, beside the HTTP front.

The same query, seats, deadlines and refusals; a call that is cancelled frees its slot. A stream's queries are answered
in their order, each as one response per piece of text and a last one that says so (`triton_final_response`).
"""

import logging
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
from autoglm_node import __version__
from autoglm_node import inference_protocol as oip
from autoglm_node.accounting import counted
from autoglm_node.failure import RefusalError
from autoglm_node.front import Probe, body_limit, deadline_of
from autoglm_node.metrics import Metrics
from autoglm_node.query import Query
from autoglm_node.service import Reply, Service

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

    def __init__(self, service: Service, metrics: Metrics, ready: Probe) -> None:
        """`ready` answers the protocol's own readiness calls."""
        limit = body_limit(service.spec)
        self._server = grpc.aio.server(options=[("grpc.max_receive_message_length", limit), ("grpc.so_reuseport", 0)])
        add_GRPCInferenceServiceServicer_to_server(_Servicer(service, metrics, ready), self._server)

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


class _Servicer(GRPCInferenceServiceServicer):  # type: ignore[misc]  # generated code has no types
    """What a worker offers; every other call of the protocol is UNIMPLEMENTED."""

    def __init__(self, service: Service, metrics: Metrics, ready: Probe) -> None:
        self._service = service
        self._metrics = metrics
        self._ready = ready

    async def ServerLive(self, _request: Any, _context: Context) -> Any:  # noqa: N802 - the protocol's name
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, _request: Any, _context: Context) -> Any:  # noqa: N802
        return pb.ServerReadyResponse(ready=self._ready()[0])

    async def ModelReady(self, request: Any, _context: Context) -> Any:  # noqa: N802
        return pb.ModelReadyResponse(ready=self._service.serves(request.name) and self._ready()[0])

    async def ServerMetadata(self, _request: Any, _context: Context) -> Any:  # noqa: N802
        return pb.ServerMetadataResponse(name=names.PART_OF, version=__version__)

    async def ModelMetadata(self, request: Any, context: Context) -> Any:  # noqa: N802
        async def described() -> Any:
            self._check_model(request.name)
            backend = self._service.spec.backend.lower()
            return pb.ModelMetadataResponse(**oip.model_description(request.name, f"{names.PART_OF}_{backend}"))

        return await _told(context, described)

    async def ModelInfer(self, request: Any, context: Context) -> Any:  # noqa: N802
        async def answered() -> Any:
            with counted(self._metrics):
                query = self._query(request)
                async with self._service.answer(query, _deadline(request, context)) as (reply,):
                    text = "".join([piece async for piece in reply.texts()])
            context.set_trailing_metadata(self._metadata(reply))
            return _response(request, text)

        return await _told(context, answered)

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Context) -> AsyncIterator[Any]:  # noqa: N802
        async for request in requests:
            async with aclosing(self._pieces(request, context)) as pieces:
                try:
                    async for text, last in pieces:
                        yield pb.ModelStreamInferResponse(infer_response=_response(request, text, last=last))
                except RefusalError as refusal:
                    # As Triton does: one query's error does not end the stream of the others.
                    failed = pb.ModelInferResponse(id=request.id, model_name=request.model_name)
                    yield pb.ModelStreamInferResponse(error_message=refusal.message, infer_response=failed)

    async def _pieces(self, request: Any, context: Context) -> AsyncGenerator[tuple[str, bool], None]:
        with counted(self._metrics):
            query = self._query(request)
            async with self._service.answer(query, _deadline(request, context)) as (reply,):
                async with aclosing(reply.texts()) as texts:
                    async for text in texts:
                        if text:
                            yield text, False
                yield "", True

    def _query(self, request: Any) -> Query:
        self._check_model(request.model_name)
        if any(output.name != oip.TEXT_OUTPUT for output in request.outputs):
            raise RefusalError(400, f"there is one output, {oip.TEXT_OUTPUT!r}", code="invalid_value")
        return oip.query_of([_tensor(*given) for given in _inputs(request)], b"".join(request.raw_input_contents))

    def _check_model(self, model: str) -> None:
        if refusal := self._service.unknown(model):
            raise refusal

    def _metadata(self, reply: Reply) -> tuple[tuple[str, str], ...]:
        return (
            (names.HEADER_REVISION, self._service.spec.revision),
            (names.HEADER_PROMPT_TOKENS, str(reply.prompt_tokens)),
            (names.HEADER_CONFIDENCE, f"{reply.tally.confidence:.4f}"),
        )


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


def _response(request: Any, text: str, *, last: bool | None = None) -> Any:
    """Return one response; `last` None: not of a stream, there is only this one."""
    response = pb.ModelInferResponse(model_name=request.model_name, model_version=oip.MODEL_VERSION, id=request.id)
    if last is not None:
        response.parameters[FINAL].bool_param = last
    if not last:
        response.outputs.add(name=oip.TEXT_OUTPUT, datatype="BYTES", shape=[1])
        response.raw_output_contents.append(oip.binary_text(text))
    return response


def _deadline(request: Any, context: Context) -> float | None:
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
