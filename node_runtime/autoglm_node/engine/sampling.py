"""From the scores of the next token to the token; pure."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from autoglm_node.sampling import Sampling

Scores = NDArray[np.float32]
Weights = NDArray[np.float64]


def log_softmax(scores: Scores) -> Scores:
    """Return natural log-probabilities of scores [rows, vocabulary]."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    logprobs: Scores = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logprobs


def likeliest(logprobs: Scores, count: int) -> tuple[tuple[int, float], ...]:
    """Return the `count` likeliest tokens of log-probabilities [vocabulary] with theirs, the likeliest first."""
    if not count:
        return ()
    count = min(count, len(logprobs))
    found = np.argpartition(-logprobs, count - 1)[:count]
    ordered = found[np.argsort(-logprobs[found], kind="stable")]
    return tuple((int(token), float(logprobs[token])) for token in ordered)


class StepScores:
    """The scores [rows, vocabulary] of one run, with what every row needs worked out for all rows at once."""

    def __init__(self, scores: Scores) -> None:
        """Find the likeliest token of each row; the scores must stay as they are while this is used."""
        self._scores = scores
        top = scores.max(axis=-1, keepdims=True)
        self._sums = top[:, 0] + np.log(np.exp(scores - top).sum(axis=-1))
        self._best: list[int] = scores.argmax(axis=-1).tolist()
        self._best_logprobs: list[float] = (top[:, 0] - self._sums).tolist()

    def likeliest(self, row: int) -> tuple[int, float]:
        """Return the likeliest token of a row and its natural log-probability."""
        return self._best[row], self._best_logprobs[row]

    def logprobs(self, row: int) -> Scores:
        """Return the natural log-probabilities [vocabulary] of a row."""
        logprobs: Scores = self._scores[row] - self._sums[row]
        return logprobs


class Chooser:
    """Chooses the tokens of one reply, one after the other; remembers what penalties count."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._rng = np.random.default_rng(sampling.seed)
        self._counts: Counter[int] = Counter()

    @property
    def takes_the_likeliest(self) -> bool:
        """Whether every token is simply the likeliest one."""
        return self._sampling.temperature <= 0 and not self._sampling.penalises

    def choose(self, logprobs: Scores) -> int:
        """Return the next token for log-probabilities [vocabulary]."""
        if self._sampling.penalises:
            logprobs = self._penalised(logprobs)
        token = pick(logprobs, self._sampling, self._rng)
        if self._sampling.penalises:
            self._counts[token] += 1
        return token

    def _penalised(self, logprobs: Scores) -> Scores:
        """Return scores lowered for the reply's own tokens: once for presence, and for each time for frequency."""
        if not self._counts:
            return logprobs
        lowered = logprobs.copy()
        tokens = np.fromiter(self._counts, dtype=np.int64)
        times = np.fromiter(self._counts.values(), dtype=np.float32)
        lowered[tokens] -= self._sampling.presence_penalty + self._sampling.frequency_penalty * times
        return lowered


def pick(logprobs: Scores, sampling: Sampling, rng: np.random.Generator) -> int:
    """Return a token for scores [vocabulary]: the likeliest if the temperature is 0.

    Otherwise one is drawn with probability p^(1/temperature), normalised, among those that top-k, top-p and min-p
    leave.
    """
    if sampling.temperature <= 0:
        return int(logprobs.argmax())
    # Relative to the likeliest token, so that a low temperature leaves at least that one.
    weights = np.exp((logprobs.astype(np.float64) - logprobs.max()) / sampling.temperature)
    weights = _narrowed(weights, sampling)
    cumulated = weights.cumsum()
    # min(): a draw next to 1.0 may round up to the full sum.
    index = np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right")
    return min(int(index), len(cumulated) - 1)


def _narrowed(weights: Weights, sampling: Sampling) -> Weights:
    """Return the weights with 0 for what may not be drawn; the likeliest (weight 1) always stays."""
    if sampling.min_p > 0:
        weights = np.where(weights >= sampling.min_p, weights, 0.0)
    if not (0 < sampling.top_k < len(weights) or sampling.top_p < 1):
        return weights
    order = np.argsort(-weights, kind="stable")
    keep = sampling.top_k or len(weights)
    if sampling.top_p < 1:
        before = weights[order].cumsum()
        # As few as reach top_p together: those before which less than that was reached.
        keep = min(keep, 1 + int((before < sampling.top_p * before[-1]).sum()))
    narrowed = np.zeros_like(weights)
    narrowed[order[:keep]] = weights[order[:keep]]
    return narrowed
