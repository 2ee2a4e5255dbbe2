"""What the steps of the decode loop cost on this machine, learnt from the steps that it did. Pure.

A step takes about

    decode + row x replies + held x tokens in their slots + pack x packs + token x prompt tokens

seconds. Each step corrects the costs by the factor that it took longer than expected, each as much as it had its part
in the expectation (exponentiated gradient): costs never turn negative, and both a wrong guess and a machine that a
neighbour slows down are corrected within some steps.
"""

from typing import Final, NamedTuple

WEIGHT: Final = 0.3  # of the newest step
_SHARED: Final = 0.2  # of a correction goes to all costs: a slow machine is slow for what it did not do just now, too
_MOST: Final = 3.0  # factor that one step may be off by; more is an interruption
_ENOUGH: Final = 4  # steps, before anything is said
_GUESS: Final = (2.0, 1.0, 0.002, 2.0, 1.0)  # of the five costs beside each other; only for the first steps


class Work(NamedTuple):
    """What a step did: replies that got a token, tokens held in their slots, packs and prompt tokens that it read."""

    replies: int
    held_tokens: int
    packs: int
    prompt_tokens: int


class StepCosts:
    """Learns from steps what the next one will take."""

    def __init__(self, known: tuple[float, float, float, float, float] | None = None) -> None:
        """Start with these costs (in the order above), or with no idea: everything costs nothing."""
        self._costs = list(known or [0.0] * len(_GUESS))
        self._seen = _ENOUGH if known else 0

    @property
    def known(self) -> bool:
        """Whether enough steps were seen to say anything."""
        return self._seen >= _ENOUGH

    @property
    def pack(self) -> float:
        """Seconds that a pack takes beside its tokens."""
        return self._costs[3]

    @property
    def token(self) -> float:
        """Seconds that a prompt token takes."""
        return self._costs[4]

    def decode(self, replies: int, held_tokens: float) -> float:
        """Return the seconds in which so many replies get a token each."""
        fixed, row, held, _, _ = self._costs
        return fixed + row * replies + held * held_tokens if replies else 0.0

    def row(self, held_tokens: float) -> float:
        """Return by how many seconds a step grows for one more reply with so many tokens in its slot."""
        return self._costs[1] + self._costs[2] * held_tokens

    def learn(self, work: Work, seconds: float) -> None:
        """Take in a step that did something and took so long."""
        amounts = (1 if work.replies else 0, *work)
        if not self._seen:
            guessed = sum(cost * amount for cost, amount in zip(_GUESS, amounts, strict=True))
            self._costs = [cost * seconds / guessed for cost in _GUESS]
        self._seen += 1
        parts = [cost * amount for cost, amount in zip(self._costs, amounts, strict=True)]
        expected = sum(parts)
        off = max(1 / _MOST, min(_MOST, seconds / expected)) - 1
        self._costs = [
            cost * (1 + WEIGHT * off * (_SHARED + (1 - _SHARED) * part / expected))
            for cost, part in zip(self._costs, parts, strict=True)
        ]
