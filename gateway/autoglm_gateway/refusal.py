"""What the gateway itself refuses, and how each protocol says so. Pure."""

from typing import Final

import orjson

_TYPES: Final = {
    400: "invalid_request_error",
    401: "invalid_request_error",
    403: "invalid_request_error",
    404: "invalid_request_error",
    405: "invalid_request_error",
    408: "invalid_request_error",
    413: "invalid_request_error",
    415: "invalid_request_error",
    417: "invalid_request_error",
    429: "rate_limit_error",
    431: "invalid_request_error",
}


class RefusalError(Exception):
    """A query that is answered by the gateway itself, with an error."""

    def __init__(
        self, status: int, message: str, *, code: str | None = None, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code
        self.headers = headers


def error_body(path: str, status: int, message: str, code: str | None = None) -> bytes:
    """Return the JSON of an error in the shape of the path's protocol: Open Inference for /v2, else OpenAI."""
    if path.startswith("/v2"):
        return orjson.dumps({"error": message})
    return orjson.dumps(
        {"error": {"message": message, "type": _TYPES.get(status, "server_error"), "param": None, "code": code}}
    )


def error_event(path: str, message: str, code: str) -> bytes:
    """Return a server-sent event that says, as the path's protocol does, that a stream is broken.

    The empty lines end a half-sent event.
    """
    return b"\n\ndata: " + error_body(path, 502, message, code) + b"\n\n"
