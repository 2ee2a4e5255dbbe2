"""Which pool answers a query: pinned by its model's name, of the class that the router finds, or of the other one.

Vectors come from pools of class Embedding only, and text never does. Vectors of two models cannot be compared, so
nothing is balanced or spilled between such pools.

| `/v1/embeddings`, the model is ...        | answered by                            |
|-------------------------------------------|----------------------------------------|
| an Embedding pool's                       | that pool                              |
| another pool's                            | 400: it writes text                    |
| the deployment, with one Embedding pool   | that pool                              |
| the deployment, with several, or with none | 400: name one of them; there is none  |
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from autoglm_api import names
from autoglm_api.config import GatewayConfig
from autoglm_api.routing import WRITTEN_CLASSES, QueryClass
from autoglm_gateway.features import Asked
from autoglm_gateway.fleet import Fleet
from autoglm_gateway.needs import Visit
from autoglm_gateway.pool import Pool
from autoglm_gateway.principals import ANYBODY, Caller
from autoglm_gateway.refusal import RefusalError
from autoglm_gateway.route import Decision, Router, Traits
from autoglm_transport.http import Pair

_CLASSES: Final = {query_class.lower(): query_class for query_class in WRITTEN_CLASSES}


@dataclass(slots=True, init=False)  # decision 21
class Choice:
    """A pool for one query, and why; `offered_class` is what was asked for before budget and spillover."""

    pool: Pool
    query_class: QueryClass
    offered_class: QueryClass
    chosen_by: str  # one word for the metrics
    reason: str  # a line for the client
    question: Asked | None = None
    told: list[Pair] = field(default_factory=list)
    spilled_from: QueryClass | None = None

    def __init__(
        self,
        pool: Pool,
        query_class: QueryClass,
        offered_class: QueryClass,
        chosen_by: str,
        reason: str,
        question: Asked | None = None,
        told: list[Pair] | None = None,
        spilled_from: QueryClass | None = None,
    ) -> None:
        self.pool = pool
        self.query_class = query_class
        self.offered_class = offered_class
        self.chosen_by = chosen_by
        self.reason = reason
        self.question = question
        self.told = [] if told is None else told
        self.spilled_from = spilled_from


class Chooser:
    """Chooses pools; every choice counts for the router's budget."""

    def __init__(self, fleet: Fleet, router: Router) -> None:
        self._fleet = fleet
        self._router = router

    def served_models(self, config: GatewayConfig, caller: Caller) -> list[str]:
        """Return every name that a caller may ask for: the deployment's first."""
        named = dict.fromkeys([config.deployment, *self._router.aliases()])
        pinned = dict.fromkeys(pool.model_name for pool in config.pools if pool.model_name not in named)
        return [
            *(model for model in named if caller.may_ask(model)),
            *(model for model in pinned if caller.may_pin(model)),
        ]

    def choose(self, visit: Visit, model: str, asked: Callable[[], Asked | None]) -> Choice:
        """Return the pool of a query.

        Raises:
            RefusalError: the header names no class (400) or is not allowed (403), or no pool is known (404, 503).
        """
        config, caller, path = visit.config, visit.caller, visit.request.path
        if caller is not ANYBODY and not self._may_ask(model, config, caller):
            raise unknown_model(model, self.served_models(config, caller))
        override = _override(visit.head.override, config, caller)
        pinned = self._fleet.by_model(model) if model != config.deployment else None
        if pinned is None and model != config.deployment and model not in self._router.aliases():
            raise unknown_model(model, self.served_models(config, caller))
        if path == names.PATH_EMBEDDINGS:
            return self._for_vectors(pinned, asked())
        if pinned is not None:
            return _pinned(pinned, path)
        question = asked() if override is None else None
        tools = question is not None and question.tools
        traits = Traits(model, path, visit.head.task, tools=tools)
        decision = self._router.decide(question, traits, override, visit.now)
        return self._pool_for(decision, config, question, visit.now)

    def _may_ask(self, model: str, config: GatewayConfig, caller: Caller) -> bool:
        if model == config.deployment or model in self._router.aliases():
            return caller.may_ask(model)
        return caller.may_pin(model)

    def _for_vectors(self, pinned: Pool | None, question: Asked | None) -> Choice:
        pools = {pool.config.model_name: pool for pool in self._fleet.pools.values() if _makes_vectors(pool)}
        listed = " or ".join(pools)
        if not pools:
            message = "this service has no embedding model; add a pool whose model.kind is Embedding"
            raise RefusalError(400, message, code="unsupported_model")
        if pinned is not None and not _makes_vectors(pinned):
            message = f"model {pinned.config.model_name!r} writes text; for vectors ask for {listed}"
            raise RefusalError(400, message, code="unsupported_model")
        if pinned is None and len(pools) > 1:
            message = f"vectors of two models cannot be compared, so name the model: {listed}"
            raise RefusalError(400, message, code="ambiguous_model")
        pool = pinned or next(iter(pools.values()))
        reason = "pinned by model name" if pinned else "the only embedding model"
        return Choice(pool, pool.config.serves, pool.config.serves, "model", reason, question)

    def _pool_for(self, decision: Decision, config: GatewayConfig, question: Asked | None, now: float) -> Choice:
        wanted = decision.query_class
        pool = self._fleet.choose(wanted)
        if pool is None:
            raise RefusalError(503, f"no pool serves {wanted}", code="no_pool")
        told = [] if decision.verdict is None else [(names.HEADER_SCORE, f"{decision.verdict.score:.1f}")]
        other = self._spilled(decision, config, now)
        if other is None:
            chosen_by, reason = decision.chosen_by, decision.reason
            return Choice(pool, wanted, decision.offered_class, chosen_by, reason, question, told)
        told.append((names.HEADER_SPILLED_FROM, wanted))
        reason = f"{decision.reason}; spilled over, no room for {wanted}"
        serves = other.config.serves
        return Choice(other, serves, decision.offered_class, "spillover", reason, question, told, wanted)

    def _spilled(self, decision: Decision, config: GatewayConfig, now: float) -> Pool | None:
        routing = config.routing
        if not routing.spillover or not decision.may_spill:
            return None
        other = self._fleet.spill(decision.query_class, routing.spillover_floor_percent)
        if other is None or other.config.serves is QueryClass.SIMPLE:
            return other
        if decision.chosen_by == "budget" or not self._router.may_be_complex(now):
            return None
        self._router.spilled(now)
        return other


def _makes_vectors(pool: Pool) -> bool:
    return pool.config.serves is QueryClass.EMBEDDING


def _pinned(pool: Pool, path: str) -> Choice:
    if _makes_vectors(pool) and path in (names.PATH_CHAT, names.PATH_COMPLETIONS):
        message = f"model {pool.config.model_name!r} makes vectors; ask it at {names.PATH_EMBEDDINGS}"
        raise RefusalError(400, message, code="unsupported_model")
    return Choice(pool, pool.config.serves, pool.config.serves, "model", "pinned by model name")


def _override(value: str | None, config: GatewayConfig, caller: Caller) -> QueryClass | None:
    if value is None:
        return None
    header = config.routing.override_header
    if not (config.routing.allow_override and caller.may_choose_class):
        raise RefusalError(403, f"header {header} is not allowed here", code="override_not_allowed")
    query_class = _CLASSES.get(value.strip().lower())
    if query_class is None:
        raise RefusalError(400, f"header {header} must be {' or '.join(WRITTEN_CLASSES)}", code="invalid_class")
    return query_class


def unknown_model(model: str, models: list[str]) -> RefusalError:
    """Return the refusal of a model that is not served."""
    return RefusalError(
        404, f"model {model!r} is not served here; there are {', '.join(models)}", code="model_not_found"
    )
