"""Who may ask, by the keys of a Secret, and what each caller has used of its limits on this gateway."""

import base64
import binascii
import logging
import math
from collections.abc import Mapping
from typing import Any, Final

from autoglm_api.keys import Tier
from autoglm_api.queue import Queue
from autoglm_gateway.principals import ANYBODY, Caller, KeyRing, Use, key_ring, use_of
from autoglm_gateway.refusal import RefusalError
from autoglm_transport.http import Headers

log = logging.getLogger(__name__)

_TIERS: Final = {tier.lower(): tier for tier in Tier}
_PLACES: Final = {tier: place for place, tier in enumerate(Tier)}
_LIMITS: Final = {
    "rate": "its queries per minute",
    "token": "its tokens per minute",
    "concurrency": "its queries at once",
}


class Callers:
    """Everybody, until keys are wanted; then nobody, until they have been read."""

    def __init__(self) -> None:
        self._wanted = False
        self._ring: KeyRing | None = None
        self._entries: Mapping[str, bytes] | None = None
        self._uses: dict[str, Use] = {}
        self._gateways = 1
        self.version = 0
        """Another one whenever somebody else may ask than before."""

    @property
    def known(self) -> bool:
        """Whether it is known who may ask."""
        return not self._wanted or self._ring is not None

    @property
    def problems(self) -> int:
        """How many entries of the Secret are not in use."""
        return len(self._ring.problems) if self._wanted and self._ring is not None else 0

    def want(self, *, keys: bool) -> None:
        """Say whether the configuration names a Secret."""
        self._wanted = keys
        self.version += 1
        if not keys:
            self._ring = self._entries = None

    def follow(self, entries: Mapping[str, bytes]) -> None:
        """Take over the entries of the Secret; without any, nobody may ask. Use of limits is kept."""
        if entries == self._entries:
            return
        self._entries = entries
        self._ring = key_ring(entries)
        self.version += 1
        for problem in self._ring.problems:
            log.error("%s", problem)
        callers = {caller.name: caller for caller in self._ring.callers.values()}
        self._uses = {name: use for name, use in self._uses.items() if name in callers}
        for name, use in self._uses.items():
            use.limit(callers[name], self._gateways)

    def share(self, gateways: int) -> None:
        """Say among how many gateways limits are divided."""
        if gateways != self._gateways:
            self._gateways = gateways
            callers = {} if self._ring is None else {one.name: one for one in self._ring.callers.values()}
            for name, use in self._uses.items():
                use.limit(callers[name], gateways)

    def who(self, headers: Headers) -> Caller:
        """Return who sent these headers.

        Raises:
            RefusalError: 401, when keys are wanted and none of them is there, or two.
        """
        if not self._wanted:
            return ANYBODY
        given = headers.all("authorization")
        caller = self._ring.find(given[0]) if self._ring is not None and len(given) == 1 else None
        if caller is not None:
            return caller
        told = "this API key is not valid" if given else "an API key is needed: send Authorization: Bearer KEY"
        raise RefusalError(401, told, code="invalid_api_key", headers=(("www-authenticate", "Bearer"),))

    def use_of(self, caller: Caller) -> Use | None:
        """Return the account of a caller; None for anybody, who has no limits."""
        if caller is ANYBODY:
            return None
        use = self._uses.get(caller.name)
        if use is None:
            use = self._uses[caller.name] = use_of(caller, self._gateways)
        return use


def check_limits(use: Use, tokens: float, now: float) -> None:
    """Refuse a query that one of its caller's limits forbids.

    Raises:
        RefusalError: 429 with Retry-After.
    """
    broken = use.refusal(tokens, now)
    if broken is None:
        return
    limit, seconds = broken
    wait = str(max(1, math.ceil(seconds)))
    message = f"this key has used up {_LIMITS[limit]}; retry in {wait} s"
    raise RefusalError(429, message, code=f"{limit}_limit", headers=(("retry-after", wait),))


def tier_of(wished: str | None, task: str | None, queue: Queue, caller: Caller) -> Tier:
    """Return the tier of a query: what its header or its task type says, at most the caller's highest.

    Raises:
        RefusalError: 400 for a tier that does not exist.
    """
    tier = Tier.NORMAL
    if wished is not None:
        found = _TIERS.get(wished.strip().lower())
        if found is None:
            raise RefusalError(400, f"the tier must be one of {', '.join(Tier)}", code="invalid_tier")
        tier = found
    elif task is not None and (known := queue.task(task)) is not None:
        tier = known.tier
    highest = caller.highest_tier
    return tier if _PLACES[tier] >= _PLACES[highest] else highest


def secret_entries(secrets: list[dict[str, Any]]) -> dict[str, bytes]:
    """Return the entries of the first of these Secrets, as the API server lists them; empty without one."""
    data = (secrets[0].get("data") or {}) if secrets else {}
    return {name: _decoded(text) for name, text in data.items()}


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:  # the API server does not store such; a broken entry is told as one
        return b""
