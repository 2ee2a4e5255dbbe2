"""How fast a simulated engine is. Pure."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from autoglm_api.spec import QueryClass

# Tokens that become due within one interval travel in one piece: what a client sees stays the same at human speed, and
# one core can play hundreds of replicas.
PIECE_SECONDS: Final = 0.04


class Profile(BaseModel):
    """Timing and room of one simulated replica."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prefill_milliseconds_per_token: float = Field(default=0.1, ge=0)
    token_milliseconds: float = Field(default=8.0, ge=0)
    slots: int = Field(default=32, ge=1)
    queued: int = Field(default=64, ge=0)
    default_tokens: int = Field(default=32, ge=1)

    def prefill_seconds(self, prompt_tokens: int) -> float:
        """Time until the prompt has been read."""
        return prompt_tokens * self.prefill_milliseconds_per_token / 1000


Profiles = Mapping[str, Profile]
PROFILES_VARIABLE: Final = "AUTOGLM_FLEET_PROFILES"
DEFAULT_CLASS: Final = "Default"
# A large model answers complex queries: about three times as slow, with half the room.
_BUILT_IN: Final = {
    DEFAULT_CLASS: Profile(),
    QueryClass.COMPLEX.value: Profile(prefill_milliseconds_per_token=0.3, token_milliseconds=24, slots=16),
}
_ADAPTER: Final = TypeAdapter(dict[str, Profile])


def profiles_from(text: str) -> Profiles:
    """Parse `{"Simple": {...}, "Complex": {...}}`; `Default` is for queries of no or another class.

    Raises:
        pydantic.ValidationError: a field is unknown or out of bounds.
    """
    return {**_BUILT_IN, **_ADAPTER.validate_json(text)}


def profile_of(profiles: Profiles, query_class: str | None) -> Profile:
    """Profile for a query of this class."""
    return profiles.get(query_class or DEFAULT_CLASS, profiles[DEFAULT_CLASS])


@dataclass(frozen=True)
class Piece:
    """Tokens that are sent together after a wait."""

    wait_seconds: float
    tokens: int


def pieces(profile: Profile, tokens: int) -> Iterator[Piece]:
    """Cut a reply into pieces; their waits add up to the time the engine takes for all tokens."""
    per_token = profile.token_milliseconds / 1000
    together = max(1, math.ceil(min(tokens, PIECE_SECONDS / per_token))) if per_token else tokens
    for start in range(0, tokens, together):
        count = min(together, tokens - start)
        yield Piece(count * per_token, count)
