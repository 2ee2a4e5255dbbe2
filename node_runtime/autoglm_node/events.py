"""A query to the CPU engine, and the events of its answer, in the words of Triton's generate extension. Pure.

A tensor of one value is written as that value, others as a list.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from autoglm_node.query import Alternatives, Finish, Generation, Piece
from autoglm_node.sampling import GREEDY

NUMBER: Final = "query_number"
"""Input that numbers a query, so that it can be cancelled."""
CANCELS: Final = "cancels"
"""Input of a request that is no query but cancels the one of this number."""
_OPTIONS: Final = ("temperature", "seed", "top_p", "top_k", "min_p", "presence_penalty", "frequency_penalty")
_DATA: Final = b"data: "
_END: Final = b"\n\n"


class EventBody:
    """Takes a body piece by piece and gives the data of each server-sent event, wherever it is cut."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, piece: bytes) -> list[bytes]:
        """Return the data of the events that this piece completes."""
        *events, self._rest = (self._rest + piece).split(_END)
        return [event.removeprefix(_DATA) for event in events]

    @property
    def complete(self) -> bool:
        """Whether the body so far ends with an event."""
        return not self._rest


def asked(number: int, generation: Generation) -> bytes:
    """Return the body that asks for a reply; of the options only what differs from greedy is said."""
    body: dict[str, Any] = {
        "input_ids": generation.input_ids,
        "max_tokens": generation.max_tokens,
        NUMBER: number,
    }
    if generation.top_logprobs:
        body["top_logprobs"] = generation.top_logprobs
    sampling = generation.sampling
    if sampling != GREEDY:
        body |= {name: value for name in _OPTIONS if (value := getattr(sampling, name)) != getattr(GREEDY, name)}
    return orjson.dumps(body)


def cancelled(number: int) -> bytes:
    """Return the body that cancels a query."""
    return orjson.dumps({"input_ids": 0, "max_tokens": 1, CANCELS: number})


def heard(event: Mapping[str, Any]) -> Piece:
    """Return what an event adds to a reply; KeyError, TypeError or ValueError when it cannot be read."""
    ids = _listed(event["token_ids"])
    return Piece(
        ids,
        _listed(event["logprobs"]),
        Finish(event["finish_reason"]),
        _alternatives(event, len(ids)) if "top_token_ids" in event else (),
    )


def _alternatives(event: Mapping[str, Any], tokens: int) -> tuple[Alternatives, ...]:
    pairs = list(zip(_listed(event["top_token_ids"]), _listed(event["top_logprobs"]), strict=True))
    each = len(pairs) // max(1, tokens)
    return tuple(tuple(pairs[start : start + each]) for start in range(0, tokens * each, each or 1))


def _listed(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, list) else (value,)
