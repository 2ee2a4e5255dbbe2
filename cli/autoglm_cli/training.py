"""Training of routing weights from labelled outcomes: a logistic regression; needs the extra `train`.

The target is the gain - the large model is right where the light one is wrong -, not difficulty: sending a query to
the large model that both get wrong wins nothing.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from math import sqrt
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, KFold

from autoglm_cli.outcomes import Outcome
from autoglm_gateway.features import Asked, Features, see
from autoglm_gateway.score import Slots
from autoglm_gateway.weights import Weights

SLOTS: Final = 1 << 16
_FOLDS: Final = 5
# Found by cross-validation on 40 domains of MMLU: words count for less than the features, and both are held small.
_STRENGTH: Final = 0.3
_WORD_SHARE: Final = 0.3
_MAX_STEP: Final = 127

Numbers = NDArray[np.float64]


class TooFewLabelsError(ValueError):
    """The outcomes do not show both kinds: queries that gain and queries that do not."""


def asked_by(outcome: Outcome) -> Asked:
    """Return the query of an outcome as the gateway would see it: one message, nothing around it."""
    return Asked(outcome.question, len(outcome.question))


class _Table:
    """The outcomes as a matrix: features to the left, word and word-pair counts to the right."""

    def __init__(self, outcomes: Sequence[Outcome]) -> None:
        seen = [see(asked_by(outcome)) for outcome in outcomes]
        self.gained = np.array([outcome.gained for outcome in outcomes])
        self.features = np.array([query.features for query in seen], dtype=np.float64)
        self.words = _counts([query.words for query in seen])

    def fit(self, rows: NDArray[np.intp]) -> "_Line":
        """Fit on some of the rows."""
        features, words, gained = self.features[rows], self.words[rows], self.gained[rows]
        if gained.all() or not gained.any():
            raise TooFewLabelsError("the rows show no difference: some queries must gain by the large model, some not")
        middle, spread = features.mean(axis=0), features.std(axis=0)
        used = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 0)
        rarity = _WORD_SHARE * (np.log((1 + len(rows)) / (1 + np.bincount(words.indices, minlength=SLOTS))) + 1)
        matrix = sparse.hstack([sparse.csr_matrix((features - middle) * used), words.multiply(rarity)]).tocsr()
        model = LogisticRegression(C=_STRENGTH, solver="liblinear", max_iter=300, random_state=0).fit(matrix, gained)
        weights = model.coef_[0]
        own = weights[: len(middle)] * used
        return _Line(float(model.intercept_[0] - own @ middle), own, weights[len(middle) :] * rarity)

    def logits(self, line: "_Line", rows: NDArray[np.intp]) -> Numbers:
        """Return the line's value for some of the rows."""
        found: Numbers = line.bias + self.features[rows] @ line.features + self.words[rows] @ line.words
        return found


class _Line:
    """What was learned: log odds of a gain are bias + features + words."""

    def __init__(self, bias: float, features: Numbers, words: Numbers) -> None:
        self.bias = bias
        self.features = features
        self.words = words


def train(outcomes: Sequence[Outcome], complex_share: float) -> Weights:
    """Return weights whose middle score lets `complex_share` (0 to 1) of these queries be Complex.

    Raises:
        TooFewLabelsError: all queries gain, or none does.
    """
    table = _Table(outcomes)
    every = np.arange(len(outcomes))
    line = table.fit(every)
    boundary = float(np.quantile(table.logits(line, every), 1 - complex_share))
    step = float(np.abs(line.words).max()) / _MAX_STEP
    return Weights(
        bias=round(line.bias - boundary, 6),
        features={name: round(float(value), 6) for name, value in zip(Features._fields, line.features, strict=True)},
        scale=step,
        table=[round(value / step) for value in line.words.tolist()] if step else [],
    )


def held_out_scores(outcomes: Sequence[Outcome], *, by_domain: bool, seed: int = 0) -> Numbers:
    """Return a score for every query by weights that were trained without it - or without its whole domain.

    Raises:
        TooFewLabelsError: fewer than five domains or rows, or folds without both kinds.
    """
    table = _Table(outcomes)
    domains = [outcome.domain for outcome in outcomes]
    if (len(set(domains)) if by_domain else len(outcomes)) < _FOLDS:
        raise TooFewLabelsError(f"held-out quality needs at least {_FOLDS} {'domains' if by_domain else 'rows'}")
    scores = np.zeros(len(outcomes))
    for rest, held in _splits(domains, by_domain=by_domain, seed=seed):
        scores[held] = table.logits(table.fit(rest), held)
    return scores


def _splits(
    domains: Sequence[str], *, by_domain: bool, seed: int
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    if by_domain:
        yield from GroupKFold(_FOLDS, shuffle=True, random_state=seed).split(domains, groups=domains)
    else:
        yield from KFold(_FOLDS, shuffle=True, random_state=seed).split(domains)


def _counts(texts: Sequence[list[str]]) -> Any:
    """Return one row of slot counts per text, divided by the root of their number as the scorer does."""
    places_of = Slots(SLOTS)
    places, values, ends = [], [], [0]
    for words in texts:
        slots = places_of.of(words)
        for slot, count in Counter(slots).items():
            places.append(slot)
            values.append(count / sqrt(len(slots)))
        ends.append(len(places))
    return sparse.csr_matrix((values, places, ends), shape=(len(texts), SLOTS))
