"""Who asks: keys to principals, and what a principal may use per minute. Pure: time is an argument (seconds)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pydantic import ValidationError

from autoglm_api.keys import Principal, Tier, hash_of

_MINUTE: Final = 60.0
_BEARER: Final = "bearer "
_MAX_KEY: Final = 512


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal with its name; equal callers share their limits."""

    name: str
    tenant: str
    models: frozenset[str] | None
    highest_tier: Tier
    may_choose_class: bool
    queries_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrency: int | None = None

    def may_ask(self, model: str) -> bool:
        """Whether the caller may ask for a model of this name."""
        return self.models is None or model in self.models

    def may_pin(self, model: str) -> bool:
        """Whether the caller may ask for one pool by its model's name: named for it, or free to choose."""
        return self.may_choose_class if self.models is None else model in self.models


ANYBODY: Final = Caller("", "", None, Tier.URGENT, may_choose_class=True)
"""The caller of a gateway without keys: everything is allowed to everybody who can reach it."""


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Every valid key's hash and its caller; `problems` are entries that could not be read."""

    callers: Mapping[str, Caller] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def find(self, authorization: str | None) -> Caller | None:
        """Return who sent this `Authorization` header, or None."""
        if authorization is None or not authorization.lower().startswith(_BEARER):
            return None
        key = authorization[len(_BEARER) :].strip()
        return None if not key or len(key) > _MAX_KEY else self.callers.get(hash_of(key))


def key_ring(entries: Mapping[str, bytes]) -> KeyRing:
    """Read the entries of a Secret. One that cannot be read is a problem of its own; the others count."""
    callers: dict[str, Caller] = {}
    problems = []
    for name, text in sorted(entries.items()):
        try:
            principal = Principal.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"]) or "the entry"
            problems.append(f"key {name}: {place}: {first['msg']}")
            continue
        taken = [one for one in principal.hashes if one in callers]
        if taken:
            problems.append(f"key {name}: a hash of it belongs to {callers[taken[0]].name}, too")
        callers.update({one: _caller(name, principal) for one in principal.hashes if one not in callers})
    return KeyRing(callers, tuple(problems))


def _caller(name: str, principal: Principal) -> Caller:
    return Caller(
        name=name,
        tenant=principal.tenant,
        models=None if principal.models is None else frozenset(principal.models),
        highest_tier=principal.highest_tier,
        may_choose_class=principal.may_choose_class,
        queries_per_minute=principal.queries_per_minute,
        tokens_per_minute=principal.tokens_per_minute,
        concurrency=principal.concurrency,
    )


@dataclass(slots=True)
class Bucket:
    """A token bucket that holds one minute's allowance and refills evenly; it starts full."""

    per_minute: float
    _left: float = field(init=False)
    _at: float | None = None

    def __post_init__(self) -> None:
        """Start full."""
        self._left = self.per_minute

    def wait(self, amount: float, now: float) -> float:
        """Return the seconds until the amount may be taken; 0: now. More than a minute's worth counts as one."""
        self._refill(now)
        missing = min(amount, self.per_minute) - self._left
        return max(0.0, missing * _MINUTE / self.per_minute)

    def take(self, amount: float, now: float) -> None:
        """Take an amount; the rest may become negative, which later ones wait for."""
        self._refill(now)
        self._left -= amount

    def resize(self, per_minute: float) -> None:
        """Change the allowance; the same share of it is left."""
        self._left *= per_minute / self.per_minute
        self.per_minute = per_minute

    def _refill(self, now: float) -> None:
        passed = 0.0 if self._at is None else max(0.0, now - self._at)
        self._at = now
        self._left = min(self.per_minute, self._left + passed * self.per_minute / _MINUTE)


@dataclass(slots=True)
class Use:
    """What one principal uses of this gateway; limits are divided by the number of gateways."""

    queries: Bucket | None
    tokens: Bucket | None
    concurrency: int | None
    at_once: int = 0

    def limit(self, caller: Caller, gateways: int) -> None:
        """Take over limits, divided by so many gateways; what was used stays used."""
        many = max(1, gateways)
        self.queries = _resized(self.queries, caller.queries_per_minute, many)
        self.tokens = _resized(self.tokens, caller.tokens_per_minute, many)
        self.concurrency = None if caller.concurrency is None else -(-caller.concurrency // many)

    def refusal(self, tokens: float, now: float) -> tuple[str, float] | None:
        """Return which limit one more query would break and the seconds to wait, or None."""
        if self.concurrency is not None and self.at_once >= self.concurrency:
            return "concurrency", 1.0
        for_rate = 0.0 if self.queries is None else self.queries.wait(1.0, now)
        for_tokens = 0.0 if self.tokens is None else self.tokens.wait(tokens, now)
        if for_rate <= 0 and for_tokens <= 0:
            return None
        return ("rate", for_rate) if for_rate >= for_tokens else ("token", for_tokens)

    def begin(self, tokens: float, now: float) -> None:
        """Count a query that was let in."""
        self.at_once += 1
        if self.queries is not None:
            self.queries.take(1.0, now)
        if self.tokens is not None:
            self.tokens.take(tokens, now)

    def end(self, more_tokens: float, now: float) -> None:
        """Count its end; `more_tokens` is what it really took less what was predicted."""
        self.at_once -= 1
        if self.tokens is not None:
            self.tokens.take(more_tokens, now)


def use_of(caller: Caller, gateways: int) -> Use:
    """Return a fresh account of a caller at one of so many gateways."""
    use = Use(None, None, None)
    use.limit(caller, gateways)
    return use


def _resized(bucket: Bucket | None, per_minute: int | None, gateways: int) -> Bucket | None:
    if per_minute is None:
        return None
    if bucket is None:
        return Bucket(per_minute / gateways)
    bucket.resize(per_minute / gateways)
    return bucket
