"""What a query needs of its pool: tier, patience, predicted work, prefix. From its headers, its text and its caller."""

from dataclasses import dataclass
from typing import Final

from autoglm_api import names
from autoglm_api.config import GatewayConfig
from autoglm_gateway.affinity import prefix_of
from autoglm_gateway.balance import length_of
from autoglm_gateway.callers import tier_of
from autoglm_gateway.features import Asked
from autoglm_gateway.head import ClientHead
from autoglm_gateway.pool import Pool
from autoglm_gateway.principals import Caller
from autoglm_gateway.queueing import Tier, Wish, predict
from autoglm_gateway.refusal import RefusalError
from autoglm_gateway.serving import Need
from autoglm_transport.http import Pair, Request

# Of a body that is not read, because its class is known without: close enough, in English and in Chinese.
_BYTES_PER_TOKEN: Final = 4
_TEMPLATE_CHARS: Final = 32
_MAX_DIGITS: Final = 9


@dataclass(slots=True, init=False)  # decision 21
class Visit:
    """One request, who sent it, when it came, and the configuration that holds for it."""

    request: Request
    head: ClientHead
    config: GatewayConfig
    caller: Caller
    now: float

    def __init__(
        self,
        request: Request,
        head: ClientHead,
        config: GatewayConfig,
        caller: Caller,
        now: float,
    ) -> None:
        self.request = request
        self.head = head
        self.config = config
        self.caller = caller
        self.now = now


@dataclass(slots=True, init=False)  # decision 21
class Needed:
    """A need, the estimated prompt, the client's deadline, what lengths are learned by, and headers for the client."""

    need: Need
    prompt_tokens: int
    deadline: float | None
    asked: predict.Asked | None
    told: list[Pair]

    def __init__(
        self,
        need: Need,
        prompt_tokens: int,
        deadline: float | None,
        asked: predict.Asked | None,
        told: list[Pair],
    ) -> None:
        self.need = need
        self.prompt_tokens = prompt_tokens
        self.deadline = deadline
        self.asked = asked
        self.told = told


def estimated_prompt(request: Request, question: Asked | None) -> int:
    """Return about how many tokens a prompt has."""
    return question.prompt_tokens if question else len(request.body) // _BYTES_PER_TOKEN


def needed(visit: Visit, pool: Pool, question: Asked | None) -> Needed:
    """Return what a query needs of a pool.

    Raises:
        RefusalError: 400 for a tier or deadline that is none, 504 for a deadline that has passed.
    """
    request, now = visit.request, visit.now
    tenant = visit.caller.tenant
    task = visit.head.task
    wished = visit.head.tier
    tier = tier_of(wished, task, visit.config.queue, visit.caller)
    deadline = _deadline(visit.head.deadline, now)
    prompt = estimated_prompt(request, question)
    asked = _asked(question, prompt, tenant) if question is not None and pool.predicts() else None
    output = _predicted(request, pool, question, asked)
    patience = now + pool.longest_wait[tier]
    known = visit.config.queue.task(task) if task is not None else None
    wish = Wish(
        now,
        patience if deadline is None or deadline > patience else deadline,
        tier,
        task or "",
        tenant,
        float(prompt + output),
        float(known.jump_seconds) if known is not None else 0.0,
        len(request.body),
    )
    prefix = prefix_of(tenant, question.system) if question is not None and pool.queue.prefix_affinity else 0
    need = Need(wish, output, length_of(prompt), prefix)
    told: list[Pair] = [] if tier is Tier.NORMAL and wished is None else [(names.HEADER_TIER, tier)]
    return Needed(need, prompt, deadline, asked, told)


def _deadline(header: str | None, now: float) -> float | None:
    if header is None:
        return None
    if not (header.isascii() and header.isdigit() and len(header) <= _MAX_DIGITS):
        raise RefusalError(400, f"{names.HEADER_DEADLINE} must be a number of milliseconds", code="invalid_deadline")
    if int(header) == 0:
        raise RefusalError(504, "the query's deadline has passed", code="deadline_exceeded")
    return now + int(header) / 1000


def _asked(question: Asked, prompt_tokens: int, tenant: str) -> predict.Asked:
    template = f"{hash(question.system)} {question.text[:_TEMPLATE_CHARS]}"
    return predict.Asked(tenant, template, prompt_tokens, question.max_tokens, question.text)


def _predicted(request: Request, pool: Pool, question: Asked | None, asked: predict.Asked | None) -> int:
    if asked is not None:
        return round(pool.predictor.predict(asked))
    return pool.outputs.predicted(question.max_tokens if question else 0) if request.method == "POST" else 0
