"""Which class a query belongs to: what the client says, then rules, then the score of its text. Pure.

| asked in this order                  | class               | `chosen_by` |
|--------------------------------------|---------------------|-------------|
| the override header, where allowed   | as it says          | header      |
| the first rule that fits             | as it says          | rule        |
| there is no text to score            | Simple              | metadata    |
| score >= threshold                   | Complex             | score       |
| score >= threshold - uncertain range | Complex             | uncertain   |
| the two above, without budget left   | Simple              | budget      |
| otherwise                            | Simple              | score       |

Queries that a header or a rule made Complex count for the budget, too, but are never turned down by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from autoglm_api.routing import QueryClass, Routing, Rule, RuleMatch, Threshold
from autoglm_gateway.budget import Budget
from autoglm_gateway.features import Asked
from autoglm_gateway.score import MIDDLE, Scorer
from autoglm_gateway.weights import DEFAULT, Weights

__all__ = ["Asked", "Decision", "Router", "Traits", "Verdict", "classify"]

_DEFAULT_SCORER: Final = Scorer(DEFAULT)


@dataclass(slots=True, init=False)  # decision 21
class Verdict:
    """What the score alone says - before header, rules and budget - and why, in one short ASCII line."""

    query_class: QueryClass
    score: float
    certain: bool
    reason: str

    def __init__(
        self,
        query_class: QueryClass,
        score: float,
        reason: str,
        *,
        certain: bool,
    ) -> None:
        self.query_class = query_class
        self.score = score
        self.certain = certain
        self.reason = reason


@dataclass(slots=True, init=False)  # decision 21
class Traits:
    """What rules look at."""

    model: str
    path: str
    task_type: str | None = None
    tools: bool = False

    def __init__(
        self,
        model: str,
        path: str,
        task_type: str | None = None,
        *,
        tools: bool = False,
    ) -> None:
        self.model = model
        self.path = path
        self.task_type = task_type
        self.tools = tools


@dataclass(slots=True, init=False)  # decision 21
class Decision:
    """A class, what chose it in one word, and why in a line; `verdict` where the score was asked."""

    query_class: QueryClass
    chosen_by: str
    reason: str
    verdict: Verdict | None = None

    def __init__(
        self,
        query_class: QueryClass,
        chosen_by: str,
        reason: str,
        verdict: Verdict | None = None,
    ) -> None:
        self.query_class = query_class
        self.chosen_by = chosen_by
        self.reason = reason
        self.verdict = verdict

    @property
    def offered_class(self) -> QueryClass:
        """The class before any budget: what clients ask of the pools of that class."""
        return self.query_class if self.verdict is None else self.verdict.query_class

    @property
    def may_spill(self) -> bool:
        """Whether another class may answer: nobody asked for this one by name."""
        return self.verdict is not None


def classify(
    asked: Asked, scorer: Scorer = _DEFAULT_SCORER, threshold: float = MIDDLE, uncertain_points: float = 0.0
) -> Verdict:
    """Return the class by the score: Complex from `threshold` on, and in the uncertain range below it."""
    score = scorer.score(asked)
    certain = not threshold - uncertain_points <= score < threshold
    query_class = QueryClass.COMPLEX if score >= threshold or not certain else QueryClass.SIMPLE
    told = "" if certain else ", uncertain"
    return Verdict(query_class, score, f"score {score:.1f} of {threshold:g}{told}", certain=certain)


class Router:
    """Decides the class of every query of one gateway; holds the settings, the weights and the hour's budget."""

    def __init__(self) -> None:
        self._settings = Routing()
        self._scorer = _DEFAULT_SCORER
        self._budget = Budget()

    def configure(self, settings: Routing) -> None:
        """Take over settings; what was counted stays."""
        self._settings = settings

    def weigh(self, weights: Weights) -> None:
        """Score with these weights from now on."""
        if weights != self._scorer.weights:
            self._scorer = Scorer(weights)

    def complex_share(self, now: float) -> float:
        """Return the share of Complex queries in the last hour, 0 to 1."""
        return self._budget.share(now)

    def aliases(self) -> list[str]:
        """Return the models' names that rules add to the deployment's."""
        return list(dict.fromkeys(rule.match.model for rule in self._settings.rules if rule.match.model is not None))

    def decide(self, asked: Asked | None, traits: Traits, override: QueryClass | None, now: float) -> Decision:
        """Return the class of a query and count it; `asked` is None where there is no text to score."""
        decision = self._decide(asked, traits, override, now)
        if decision.chosen_by != "metadata":
            score = decision.verdict.score if decision.verdict is not None else MIDDLE
            self._budget.count(score, now, is_complex=decision.query_class is QueryClass.COMPLEX)
        return decision

    def may_be_complex(self, now: float) -> bool:
        """Whether the budget has room for a Simple query that spills over."""
        return self._settings.threshold is Threshold.FIXED or self._budget.admits(MIDDLE, self._ceiling, now)

    def spilled(self, now: float) -> None:
        """Count a Simple query, counted before, as Complex: the large model answers it."""
        self._budget.turn_complex(now)

    @property
    def _ceiling(self) -> float:
        return self._settings.complex_share_percent / 100

    def _decide(self, asked: Asked | None, traits: Traits, override: QueryClass | None, now: float) -> Decision:
        if override is not None:
            return Decision(override, "header", f"header {self._settings.override_header}")
        rule = first_fitting(self._settings.rules, traits)
        if rule is not None:
            return Decision(rule.query_class, "rule", f"rule {rule.name}")
        if asked is None:
            return Decision(QueryClass.SIMPLE, "metadata", "asks about the model, not the model")
        verdict = classify(asked, self._scorer, self._settings.score_threshold, self._settings.uncertain_points)
        if verdict.query_class is QueryClass.COMPLEX and not self._affords(verdict, now):
            reason = f"{verdict.reason}, but the budget of {self._settings.complex_share_percent} % is spent"
            return Decision(QueryClass.SIMPLE, "budget", reason, verdict)
        return Decision(verdict.query_class, "score" if verdict.certain else "uncertain", verdict.reason, verdict)

    def _affords(self, verdict: Verdict, now: float) -> bool:
        return self._settings.threshold is Threshold.FIXED or self._budget.admits(verdict.score, self._ceiling, now)


def first_fitting(rules: Sequence[Rule], traits: Traits) -> Rule | None:
    """Return the first rule that holds for such a query, or None."""
    return next((rule for rule in rules if _fits(rule.match, traits)), None)


def _fits(match: RuleMatch, traits: Traits) -> bool:
    return (
        (match.model is None or match.model == traits.model)
        and (match.path_prefix is None or traits.path.startswith(match.path_prefix))
        and (match.tools is None or match.tools == traits.tools)
        and (match.task_type is None or match.task_type == traits.task_type)
    )
