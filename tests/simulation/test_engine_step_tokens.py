"""Loads of the engine in virtual time, with costs of the shop's large model: adapting against fixed budgets."""

from collections.abc import Sequence as Items
from dataclasses import replace

import numpy as np

from autoglm_node.engine.adaptive import StepTokens
from autoglm_node.engine.decode_loop import DecodeLoop
from autoglm_node.engine.packing import DEFAULT_BUCKETS, Batching
from autoglm_node.engine.sequence import Sequence

PAUSE, FIRST_TOKEN = 0.010, 0.4
MOST, SLOTS, ROOM = 512, 32, 2048
DECODE_SECONDS, ROW_SECONDS, TOKEN_SECONDS = 0.0001, 0.00009, 0.00006


class Clocked:
    """A model whose calls take virtual time."""

    def __init__(self, slow: float) -> None:
        self.now = 0.0
        self._slow = slow

    def prefill(self, slot: int, prompts: Items[Items[int]]) -> np.ndarray:
        speed = 1 if self.now % 10 < 5 else self._slow
        self.now += speed * TOKEN_SECONDS * len(prompts) * max(map(len, prompts))
        return np.zeros((len(prompts), 2), np.float32)

    def extend(self, slot: int, input_ids: Items[int], held: int) -> np.ndarray:
        return self.prefill(slot + held, [input_ids])

    def decode(self, tokens: list[int], lengths: list[int]) -> np.ndarray:
        self.now += DECODE_SECONDS + ROW_SECONDS * len(tokens)
        return np.zeros((len(tokens), 2), np.float32)

    def move(self, source: int, target: int, tokens: int) -> None:
        pass


def arrivals(calm: float, busy: float, seed: int = 1) -> list[tuple[float, Sequence]]:
    """Ten seconds of queries; the second half comes `busy` times a second, every fifth prompt is long."""
    rng, now, made = np.random.default_rng(seed), 0.0, list[tuple[float, Sequence]]()
    while now < 10:
        now += float(rng.exponential(1 / (calm if now < 5 else busy)))
        length = int(rng.integers(300, 1000) if rng.random() < 0.2 else rng.integers(10, 60))
        made.append((now, Sequence(len(made), (7,) * length, int(rng.integers(4, 60)))))
    return made


def missed(queries: list[tuple[float, Sequence]], budget: int | None, slow: float) -> float:
    """The share of first tokens and of next tokens that come too late, added; `budget` None adapts."""
    model, steps = Clocked(slow), StepTokens(MOST, PAUSE)
    loop = DecodeLoop(model, SLOTS, ROOM, Batching(DEFAULT_BUCKETS, budget or MOST))
    last, late, todo = dict[int, float](), {True: list[bool](), False: list[bool]()}, list(queries)
    came = {query.id: at for at, query in queries}
    while todo or not loop.idle:
        if loop.idle:
            model.now = max(model.now, todo[0][0])
        while todo and todo[0][0] <= model.now:
            loop.submit(todo[0][1], todo.pop(0)[0])
        if budget is None:
            tokens = steps.choose(loop.replying)
            loop.batching = replace(loop.batching, token_budget=tokens)
        began, read = model.now, loop.counts.padded_tokens
        events = loop.step(model.now)
        steps.learn(loop.counts.padded_tokens - read, model.now - began)
        for event in events:
            first = event.id not in last
            limit = FIRST_TOKEN if first else PAUSE + 0.003
            late[first].append(model.now - (came if first else last)[event.id] > limit)
            last[event.id] = model.now
    return float(np.mean(late[True]) + np.mean(late[False]))


LOADS = [(10, 10, 1), (60, 60, 1), (10, 90, 1), (20, 110, 1), (30, 30, 3), (20, 40, 3)]
"""Queries a second before and after the change, and by how much a neighbour slows the machine then."""


def test_adapting_is_as_good_as_the_best_fixed_budget_and_better_when_things_change() -> None:
    totals, adapted = dict.fromkeys((32, 64, 128, 256, 512), 0.0), 0.0
    for calm, busy, slow in LOADS:
        queries = arrivals(calm, busy)
        fixed = {budget: missed(queries, budget, slow) for budget in totals}
        ours = missed(queries, None, slow)
        assert ours <= 1.05 * min(fixed.values()) + 0.01, (calm, busy, slow)
        totals = {budget: total + fixed[budget] for budget, total in totals.items()}
        adapted += ours
    assert adapted < 0.8 * min(totals.values())
