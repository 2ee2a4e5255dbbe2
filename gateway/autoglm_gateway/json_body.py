"""The JSON object that a request's body must be, whatever its protocol."""

from typing import Any

import orjson

from autoglm_gateway.refusal import RefusalError


def json_object(body: bytes) -> dict[str, Any]:
    """Return the body's JSON object.

    Raises:
        RefusalError: 400, the body is not JSON or not an object.
    """
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RefusalError(400, f"the body is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise RefusalError(400, "the body must be a JSON object")
    return parsed
