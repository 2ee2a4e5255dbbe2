"""API keys of a gateway, as they lie in a Secret: every entry of the Secret is one principal as JSON.

Only hashes are stored. A principal may have several, so that a key is rotated by adding the new hash, moving the
clients, and removing the old one; the gateway follows the Secret without a restart.
"""

import hashlib
import secrets
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from autoglm_api.schema import Model

KEY_PREFIX: Final = "agk-"
_KEY_BYTES: Final = 32


class Tier(StrEnum):
    """Queue priority, the most urgent first."""

    URGENT = "Urgent"
    INTERACTIVE = "Interactive"
    NORMAL = "Normal"
    BATCH = "Batch"

    @property
    def above(self) -> "Tier | None":
        """The tier that a query is promoted to; None above Urgent."""
        tiers = list(Tier)
        place = tiers.index(self)
        return tiers[place - 1] if place else None


class SecretRef(Model):
    """A Secret in the same namespace."""

    name: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$",
            description="A Secret in this namespace.",
        ),
    ]


class Auth(Model):
    """How the gateway tells callers apart."""

    api_keys_secret_ref: Annotated[
        SecretRef | None,
        Field(description="API keys, one entry per caller; followed without a restart. Default: everybody may ask."),
    ] = None


class Principal(Model):
    """Who asks, and what they may."""

    hashes: Annotated[
        list[Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]],
        Field(min_length=1, max_length=8, description="SHA-256 of each valid key, in hexadecimal."),
    ]
    tenant: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            pattern=r"^[A-Za-z0-9]([-A-Za-z0-9._]*[A-Za-z0-9])?$",
            description="Whose queries share cache, fair share and quota.",
        ),
    ]
    models: Annotated[
        list[str] | None, Field(max_length=32, description="Models that may be asked for; default: all.")
    ] = None
    highest_tier: Annotated[Tier, Field(description="The most urgent tier that may be asked for.")] = Tier.NORMAL
    may_choose_class: Annotated[
        bool, Field(description="Whether the override header counts, and a pool may be pinned by its model's name.")
    ] = False
    queries_per_minute: Annotated[int | None, Field(ge=1, le=10_000_000, description="Rate limit.")] = None
    tokens_per_minute: Annotated[
        int | None, Field(ge=1, le=1_000_000_000, description="Limit of prompt and predicted output tokens.")
    ] = None
    concurrency: Annotated[int | None, Field(ge=1, le=100_000, description="Queries at once, waiting ones too.")] = None


def hash_of(key: str) -> str:
    """Return what is stored of a key. Keys are 256 random bits, so one round of SHA-256 is enough."""
    return hashlib.sha256(key.encode()).hexdigest()


def new_key() -> str:
    """Return a fresh key of 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(_KEY_BYTES)
