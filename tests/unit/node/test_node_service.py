import threading
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import pytest

from autoglm_node.admission import Admission
from autoglm_node.chat import Chat
from autoglm_node.failure import RefusalError
from autoglm_node.front import body_limit, deadline_of
from autoglm_node.metrics import Metrics
from autoglm_node.query import Message, Query
from autoglm_node.sampling import Sampling
from autoglm_node.service import Engine, Service
from support.node_artifacts import engine_spec


class SlowTokenizer:
    """Knows only on which thread it was asked."""

    def prompt_ids(self, messages: Iterable[Message]) -> list[int]:
        del messages
        return [threading.get_ident()]


@pytest.mark.parametrize(
    ("messages", "inline"),
    [
        ([Message("user", "short")], True),
        ([Message("user", "x" * 100_000)], False),
        ([Message("user", "")] * 100_000, False),  # a mark for each turn is tokenised as well
    ],
    ids=["short", "long", "many"],
)
async def test_what_takes_long_to_tokenise_leaves_the_event_loop_alone(
    messages: list[Message], *, inline: bool
) -> None:
    service = Service(
        engine_spec(Path("model")),
        cast("Chat", SlowTokenizer()),
        cast("Engine", None),
        Admission(1),
        Metrics("m"),
        lambda: None,
    )
    assert (await service._turns_ids(messages) == [threading.get_ident()]) is inline


@pytest.mark.parametrize(("given", "seconds"), [(None, None), ("1500", 1.5), ("-1", 0.0)])
def test_deadlines(given: str | None, seconds: float | None) -> None:
    assert deadline_of(given) == seconds


@pytest.mark.parametrize("given", ["", "soon", "1.5", "9" * 400, "9" * 5000])
def test_deadlines_that_are_none(given: str) -> None:
    with pytest.raises(RefusalError, match="milliseconds"):
        deadline_of(given)


@pytest.mark.parametrize(("tokens", "megabytes"), [(512, 4), (8192, 4), (131_072, 32)])
def test_a_body_may_be_as_large_as_the_model_can_use(tokens: int, megabytes: int) -> None:
    assert body_limit(engine_spec(Path("model"), max_sequence_tokens=tokens)) == megabytes << 20


@pytest.mark.parametrize(
    ("query", "param"),
    [
        (Query(prompt="a", sampling=Sampling(1.0, min_p=0.1)), "min_p"),
        (Query(prompt="a", top_logprobs=2), "top_logprobs"),
    ],
)
async def test_what_an_engine_lacks_is_refused(query: Query, param: str) -> None:
    spec = engine_spec(Path("model"), backend="TensorRTLLM", gpus=1)
    service = Service(
        spec, cast("Chat", SlowTokenizer()), cast("Engine", None), Admission(1), Metrics("m"), lambda: None
    )
    with pytest.raises(RefusalError, match="does not offer it") as refused:
        await service.answer(query, None).__aenter__()
    assert refused.value.param == param
