"""A query that has its pool: what is sent where, and why. Pure."""

from dataclasses import dataclass, replace
from typing import Protocol

from autoglm_api.spec import QueryClass
from autoglm_gateway.balance import Address
from autoglm_gateway.passing import Trace
from autoglm_gateway.pool import Pool
from autoglm_gateway.principals import Use
from autoglm_gateway.queueing.predict import Asked
from autoglm_gateway.serving import Need
from autoglm_transport.http import Headers, Pair


class Tap(Protocol):
    """Listens to an answer while it goes to its client."""

    def began(self, status: int, headers: Headers) -> None:
        """Take in the replica's status and headers."""

    def took(self, chunk: bytes) -> None:
        """Take in a piece of the body."""

    def ended(self) -> None:
        """Take in that the answer is whole."""


@dataclass(slots=True, eq=False, init=False)  # decision 21
class Query:
    """What is sent where, and why."""

    pool: Pool
    query_class: QueryClass
    chosen_by: str  # one word for the metrics
    reason: str  # a line for the client
    target: str
    headers: bytes  # the client's, for the replica, encoded
    trace: Trace
    arrived: float
    need: Need
    deadline: float | None  # the client's own
    prompt_tokens: int  # estimated
    asked: Asked | None  # what lengths of answers are learned by
    use: Use | None
    offered_class: QueryClass | None  # None: it is no work for an engine
    told: list[Pair]  # more headers for the client
    used_tokens: int  # that a replica has worked on
    work_left: int  # predicted tokens that the replica has not sent
    answer_until: float
    tap: Tap | None
    cache_control: list[str]  # the client's
    cache_opt_in: bool
    # --- what became of it, for the access log; seconds ---
    code: str
    error: str | None  # the code of its refusal
    replica: Address | None  # the last one that it was sent to
    waited: float | None
    first_byte: float | None

    def __init__(
        self,
        *,
        pool: Pool,
        query_class: QueryClass,
        chosen_by: str,
        reason: str,
        target: str,
        headers: bytes,
        trace: Trace,
        arrived: float,
        need: Need,
        deadline: float | None = None,
        prompt_tokens: int = 0,
        asked: Asked | None = None,
        use: Use | None = None,
        offered_class: QueryClass | None = None,
        told: list[Pair] | None = None,
        cache_control: list[str] | None = None,
        cache_opt_in: bool = False,
    ) -> None:
        self.pool = pool
        self.query_class = query_class
        self.chosen_by = chosen_by
        self.reason = reason
        self.target = target
        self.headers = headers
        self.trace = trace
        self.arrived = arrived
        self.need = need
        self.deadline = deadline
        self.prompt_tokens = prompt_tokens
        self.asked = asked
        self.use = use
        self.offered_class = offered_class
        self.told = [] if told is None else told
        self.used_tokens = 0
        self.work_left = 0
        self.answer_until = 0.0
        self.tap = None
        self.cache_control = [] if cache_control is None else cache_control
        self.cache_opt_in = cache_opt_in
        self.code = "499"
        self.error = None
        self.replica = None
        self.waited = None
        self.first_byte = None

    @property
    def tokens(self) -> int:
        """The estimated prompt with the predicted output."""
        return self.prompt_tokens + self.need.output_tokens

    @property
    def patience(self) -> float:
        """How many seconds the query may wait."""
        return self.need.wish.deadline - self.arrived

    def wait_longer(self, seconds: float) -> None:
        """Add to how long the query may wait; never beyond the client's own deadline."""
        until = self.need.wish.deadline + seconds
        until = until if self.deadline is None else min(until, self.deadline)
        self.need = replace(self.need, wish=replace(self.need.wish, deadline=until))

    def sent(self, now: float, answer_seconds: float) -> None:
        """Note that a replica gets the query; the time for its answer begins when it first leaves the queue."""
        self.used_tokens = self.prompt_tokens
        self.work_left = self.need.output_tokens
        if not self.answer_until:
            until = now + answer_seconds
            self.answer_until = until if self.deadline is None else min(until, self.deadline)
