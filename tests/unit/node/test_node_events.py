"""What the CPU engine is asked and answers, in JSON."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from autoglm_node import events, repository
from autoglm_node.query import Finish, Generation, Piece
from autoglm_node.sampling import Sampling
from support.node_artifacts import engine_spec

ALL = Generation((5, 6, 7), 9, Sampling(0.5, 2**63 - 1, 0.75, 5, 0.25, -1, 2), top_logprobs=4)


def test_of_the_options_only_what_differs_from_greedy_is_said() -> None:
    assert orjson.loads(events.asked(3, Generation((5,), 9))) == {"input_ids": [5], "max_tokens": 9, "query_number": 3}
    assert orjson.loads(events.asked(3, ALL)) == {
        "input_ids": [5, 6, 7],
        "max_tokens": 9,
        "query_number": 3,
        "top_logprobs": 4,
        "temperature": 0.5,
        "seed": 2**63 - 1,
        "top_p": 0.75,
        "top_k": 5,
        "min_p": 0.25,
        "presence_penalty": -1,
        "frequency_penalty": 2,
    }


def test_what_is_said_is_what_the_configuration_declares(tmp_path: Path) -> None:
    config = repository.config_for(engine_spec(tmp_path), 1)
    optional = {one.name: one.optional for one in config.input}
    for body in (events.asked(3, ALL), events.asked(3, Generation((5,), 9)), events.cancelled(3)):
        said = set(orjson.loads(body))
        assert said <= set(optional)
        assert {name for name, may_lack in optional.items() if not may_lack} <= said


def event(**changes: Any) -> dict[str, Any]:
    return {"model_name": "m", "token_ids": 4, "logprobs": -1.5, "finish_reason": 0, **changes}


@pytest.mark.parametrize(
    ("given", "piece"),
    [
        (event(), Piece((4,), (-1.5,), Finish.NONE)),
        (event(token_ids=[4, 5], logprobs=[-1.0, -2.0], finish_reason=2), Piece((4, 5), (-1.0, -2.0), Finish.LENGTH)),
        (event(token_ids=[], logprobs=[], finish_reason=1), Piece((), (), Finish.STOP)),
        (
            event(top_token_ids=[4, 6], top_logprobs=[-1.5, -3]),
            Piece((4,), (-1.5,), Finish.NONE, (((4, -1.5), (6, -3)),)),
        ),
        (
            event(token_ids=[4, 5], logprobs=[-1, -2], top_token_ids=[4, 6, 5, 7], top_logprobs=[-1, -3, -2, -4]),
            Piece((4, 5), (-1, -2), Finish.NONE, (((4, -1), (6, -3)), ((5, -2), (7, -4)))),
        ),
        (event(token_ids=[], logprobs=[], top_token_ids=[], top_logprobs=[]), Piece((), (), Finish.NONE)),
    ],
)
def test_pieces(given: dict[str, Any], piece: Piece) -> None:
    assert events.heard(given) == piece


@pytest.mark.parametrize("cuts", [(), (1,), (3, 9), (9, 10), (10, 11), (19, 20), tuple(range(1, 22))])
def test_events_are_found_wherever_the_body_is_cut(cuts: tuple[int, ...]) -> None:
    whole, body = b"data: [1]\n\ndata: [2]\n\n", events.EventBody()
    ends = [*cuts, len(whole)]
    found = [one for start, end in zip([0, *cuts], ends, strict=True) for one in body.feed(whole[start:end])]
    assert (found, body.complete) == ([b"[1]", b"[2]"], True)
    assert body.feed(b"data: [3]\n") == []
    assert not body.complete
