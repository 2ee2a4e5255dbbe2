"""Loads of the engine in virtual time: adapting against fixed settings.

The costs of a step are about those of the shop's large model (`benchmarks/node/run.py precision` prints least times,
`costs` what the engine learns under load); slower engines are that model times a factor, and one has a high price for
every run, as a GPU has.
"""

from collections.abc import Sequence as Items
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest

from autoglm_node.engine.adaptive import Adaptive, Targets
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import Batching, Bucket
from autoglm_node.engine.sequence import Sequence
from autoglm_node.engine.stepping import Stepper

SLOTS, ROOM = 32, 2048
BUCKETS = (Bucket(127, 32), Bucket(400, 16), Bucket(ROOM, 8))


class Costs(NamedTuple):
    """Seconds of a decode run, a reply in it, a token in its slot, a run that reads, and a token of it."""

    decode: float
    row: float
    held: float
    pack: float
    token: float

    def times(self, factor: float) -> "Costs":
        return Costs(*(factor * cost for cost in self))


LARGE = Costs(120e-6, 50e-6, 0.12e-6, 100e-6, 50e-6)
GPU = Costs(8e-3, 0.3e-3, 1e-6, 8e-3, 0.05e-3)


class Clocked:
    """A model whose calls take virtual time; a neighbour slows the machine in the second half of a run."""

    def __init__(self, costs: Costs, slow: float, since: float) -> None:
        self.now = 0.0
        self._costs, self._slow, self._since = costs, slow, since

    def prefill(self, slot: int, prompts: Items[Items[int]]) -> np.ndarray:
        return self._take(self._costs.pack + self._costs.token * len(prompts) * max(map(len, prompts)), len(prompts))

    def extend(self, slot: int, input_ids: Items[int], held: int) -> np.ndarray:
        return self.prefill(slot, [input_ids])

    def decode(self, tokens: list[int], lengths: list[int]) -> np.ndarray:
        costs = self._costs
        return self._take(costs.decode + costs.row * len(tokens) + costs.held * sum(lengths), len(tokens))

    def move(self, source: int, target: int, tokens: int) -> None:
        pass

    def _take(self, seconds: float, rows: int) -> np.ndarray:
        self.now += seconds * (1 if self.now < self._since else self._slow)
        return np.zeros((rows, 2), np.float32)


@dataclass(frozen=True)
class Case:
    """An engine, queries a second before and after the change, what a neighbour costs then, and the targets."""

    costs: Costs
    calm: float
    busy: float
    slow: float
    pause: float
    first: float
    seconds: float = 6

    def arrivals(self, seed: int = 1) -> list[tuple[float, Sequence]]:
        """Every fifth prompt is long."""
        rng, now, made = np.random.default_rng(seed), 0.0, list[tuple[float, Sequence]]()
        while now < self.seconds:
            now += float(rng.exponential(1 / (self.calm if now < self.seconds / 2 else self.busy)))
            length = int(rng.integers(300, 1000) if rng.random() < 0.2 else rng.integers(10, 60))
            made.append((now, Sequence(len(made), (7,) * length, int(rng.integers(4, 60)))))
        return made

    def missed(self, batching: Batching, *, adapting: bool) -> float:
        """The share of first tokens and of next tokens that come too late, added."""
        model = Clocked(self.costs, self.slow, self.seconds / 2)
        adaptive = Adaptive(batching, Targets(self.pause, self.first)) if adapting else None
        stepper = Stepper(DecodeLoop(model, SLOTS, ROOM, batching), adaptive, lambda: model.now)
        todo = self.arrivals()
        came, last = {query.id: at for at, query in todo}, dict[int, float]()
        late = {True: [0, 0], False: [0, 0]}
        while todo or not stepper.loop.idle:
            if stepper.loop.idle:
                model.now = max(model.now, todo[0][0])
            while todo and todo[0][0] <= model.now:
                stepper.submit(todo.pop(0)[1])
            if held := stepper.loop.held_seconds(model.now):
                model.now += held + 1e-6
            for event in stepper.step():
                first = event.id not in last
                limit = self.first if first else 1.3 * self.pause
                late[first][0] += model.now - (came if first else last)[event.id] > limit
                late[first][1] += 1
                last[event.id] = model.now
        return sum(missed / count for missed, count in late.values())


CASES = {
    "light load": Case(LARGE, 10, 10, 1, 0.010, 0.4),
    "heavy load": Case(LARGE, 60, 60, 1, 0.010, 0.4),
    "load that grows": Case(LARGE, 10, 90, 1, 0.010, 0.4, 12),
    "load beyond the machine": Case(LARGE, 20, 110, 1, 0.010, 0.4),
    "a neighbour": Case(LARGE, 30, 30, 3, 0.010, 0.4),
    "a neighbour and more load": Case(LARGE, 20, 40, 3, 0.010, 0.4),
    "a model ten times as slow": Case(LARGE.times(10), 2, 8, 1, 0.030, 2.0, 40),
    "ten times as slow, with a neighbour": Case(LARGE.times(10), 3, 3, 3, 0.030, 2.0, 40),
    "a GPU": Case(GPU, 5, 25, 1, 0.040, 0.5, 15),
    "a GPU beyond its limit": Case(GPU, 15, 60, 1, 0.040, 0.5, 15),
}
FIXED = [(budget, cap, 0.0) for budget in (32, 128, 512) for cap in (8, 32)] + [(128, 12, 0.01), (512, 32, 0.01)]


def bounds(budget: int, cap: int, delay: float) -> Batching:
    return Batching(tuple(Bucket(b.max_tokens, min(b.max_batch_size, cap)) for b in BUCKETS), budget, delay)


MOST = bounds(512, 32, 0.010)


def test_adapting_is_as_good_as_the_best_fixed_setting_and_better_over_all() -> None:
    totals, adapted = dict.fromkeys(FIXED, 0.0), 0.0
    for name, case in CASES.items():
        fixed = {setting: case.missed(bounds(*setting), adapting=False) for setting in FIXED}
        ours = case.missed(MOST, adapting=True)
        assert ours <= 1.05 * min(fixed.values()) + 0.01, name
        totals = {setting: total + fixed[setting] for setting, total in totals.items()}
        adapted += ours
    assert adapted < 0.8 * min(totals.values())


@pytest.mark.parametrize("name", ["load that grows", "a neighbour"])
def test_what_a_change_brings_is_met(name: str) -> None:
    case = CASES[name]
    assert case.missed(MOST, adapting=True) < 0.8 * case.missed(MOST, adapting=False)
