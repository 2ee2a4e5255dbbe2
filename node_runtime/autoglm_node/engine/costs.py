"""What the steps of the decode loop cost on this machine, learnt from the steps that it did. Pure.

A step takes about

    seconds = speed x (decode + row x replies + held x tokens in their slots + pack x packs + token x prompt tokens)

The five costs are a least-squares fit over some hundred steps; `speed` follows within some steps, so that a neighbour
who takes the CPU away is noticed before the fit can be.
"""

from typing import Final, NamedTuple

import numpy as np

_KEPT: Final = 0.995  # of the weight of older steps in the fit, at every step
_SPEED_WEIGHT: Final = 0.2  # of the newest step in the speed: a neighbour's burst is forgotten within some steps
_FIT_EVERY: Final = 16  # steps
_UNITS: Final = np.array([1.0, 8.0, 1024.0, 1.0, 64.0])  # of the five, so that their costs are of one size
_RIDGE: Final = 1e-3  # times the mean square of the units that were seen: what never varies gets no cost of its own
_NONE: Final = np.zeros(5)


class Work(NamedTuple):
    """What a step did: replies that got a token, tokens held in their slots, packs and prompt tokens that it read."""

    replies: int
    held_tokens: int
    packs: int
    prompt_tokens: int


class StepCosts:
    """Learns from steps what the next one will take."""

    def __init__(self) -> None:
        """Start with no idea: everything costs nothing."""
        self._squares, self._products = np.zeros((5, 5)), np.zeros(5)
        self._costs: list[float] = _NONE.tolist()
        self._speed, self._seen = 1.0, 0

    @property
    def known(self) -> bool:
        """Whether enough steps were seen to say anything."""
        return self._seen >= _FIT_EVERY

    @property
    def pack(self) -> float:
        """Seconds that a pack takes beside its tokens."""
        return self._speed * self._costs[3]

    @property
    def token(self) -> float:
        """Seconds that a prompt token takes."""
        return self._speed * self._costs[4]

    def decode(self, replies: int, held_tokens: float) -> float:
        """Return the seconds in which so many replies get a token each."""
        fixed, row, held, _, _ = self._costs
        return self._speed * (fixed + row * replies + held * held_tokens) if replies else 0.0

    def row(self, held_tokens: float) -> float:
        """Return by how many seconds a step grows for one more reply with so many tokens in its slot."""
        return self._speed * (self._costs[1] + self._costs[2] * held_tokens)

    def learn(self, work: Work, seconds: float) -> None:
        """Take in a step that took so long."""
        self._seen += 1
        expected = self._of(work)
        if self.known and expected > 0:
            # A step that was interrupted for long says little: at most a factor of four at once.
            self._speed += _SPEED_WEIGHT * (min(seconds / expected, 4 * self._speed) - self._speed)
        units = np.array([work.replies > 0, *work], dtype=float) / _UNITS
        self._squares = _KEPT * self._squares + np.outer(units, units)
        self._products = _KEPT * self._products + units * (seconds / self._speed)
        if self._seen % _FIT_EVERY == 0:
            self._fit()

    def _of(self, work: Work) -> float:
        fixed, row, held, pack, token = self._costs
        decode = fixed + row * work.replies + held * work.held_tokens if work.replies else 0.0
        return decode + pack * work.packs + token * work.prompt_tokens

    def _fit(self) -> None:
        """Solve for costs of which none is negative: those that would be are taken as nothing."""
        used = np.flatnonzero(self._squares.diagonal() > 0)
        while len(used):
            squares = self._squares[np.ix_(used, used)]
            ridge = _RIDGE * squares.trace() / len(used) * np.eye(len(used))
            found = np.linalg.solve(squares + ridge, self._products[used])
            if (found >= 0).all():
                break
            used = used[found >= 0]
        else:
            return
        costs = _NONE.copy()
        costs[used] = found / _UNITS[used]
        self._costs = costs.tolist()
