"""From the scores of the next token to the token; pure."""

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]


def log_softmax(scores: Scores) -> Scores:
    """Return natural log-probabilities of scores [rows, vocabulary]."""
    shifted = scores - scores.max(axis=-1, keepdims=True)
    logprobs: Scores = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logprobs


def pick(logprobs: Scores, temperature: float, rng: np.random.Generator) -> int:
    """Return a token for log-probabilities [vocabulary]: the likeliest if `temperature` is 0.

    Otherwise one is drawn with probability p^(1/temperature), normalised.
    """
    if temperature <= 0:
        return int(logprobs.argmax())
    # Relative to the likeliest token, so that a low temperature leaves at least that one.
    weights = np.exp((logprobs.astype(np.float64) - logprobs.max()) / temperature)
    cumulated = weights.cumsum()
    # min(): a draw next to 1.0 may round up to the full sum.
    index = np.searchsorted(cumulated, rng.random() * cumulated[-1], side="right")
    return min(int(index), len(cumulated) - 1)
