"""Which weights are in use while the named ones come, break and go."""

import json
import logging

import pytest

from autoglm_gateway.features import Asked
from autoglm_gateway.route import Router, Traits
from autoglm_gateway.weighing import Weighing
from autoglm_gateway.weights import MAX_BYTES

HIGH, LOW = (json.dumps({"version": 1, "bias": bias, "features": {}}) for bias in (9, -9))
ASKED = Asked("hi", 2)


class World:
    """A router with weights from somewhere; `broken` is what was told last."""

    def __init__(self) -> None:
        self.router = Router()
        self.told: list[bool] = []
        self.weighing = Weighing(self.router, self.told.append)

    @property
    def score(self) -> float:
        verdict = self.router.decide(ASKED, Traits("shop", "/"), None, 0.0).verdict
        assert verdict is not None
        return round(verdict.score)

    def use(self, text: str | None, where: str = "mine") -> tuple[float, bool]:
        self.weighing.use(where, text)
        return self.score, self.told[-1]


DEFAULT = World().score


def test_named_weights_are_used_replaced_and_left() -> None:
    world = World()
    assert world.score == DEFAULT
    assert world.use(HIGH) == (100, False)
    assert world.use(LOW) == (0, False)
    world.weighing.use_default()
    assert (world.score, world.told[-1]) == (DEFAULT, False)


@pytest.mark.parametrize(
    "text", [None, "", "{}", '{"version": 2, "bias": 1, "features": {}}', HIGH + " " * MAX_BYTES, "[" * 100_000]
)
def test_what_is_broken_changes_nothing_and_is_told(text: str | None, caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    assert world.use(HIGH) == (100, False)
    assert world.use(text) == (100, True)
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert world.use(HIGH) == (100, False)


def test_broken_from_the_start_leaves_the_shipped_ones() -> None:
    assert World().use("{") == (DEFAULT, True)


def test_the_same_text_is_read_once_but_in_another_place_again() -> None:
    world = World()
    for _ in range(3):
        world.use(HIGH)
    assert world.told == [False]
    world.use(HIGH, "other")
    assert world.told == [False, False]


def test_what_was_named_before_the_default_counts_anew() -> None:
    world = World()
    world.use(HIGH)
    world.weighing.use_default()
    assert world.use(HIGH) == (100, False)
