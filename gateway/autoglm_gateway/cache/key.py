"""The key of an answer: never that of another tenant; changes with all that may change the answer. Pure."""

from functools import lru_cache
from hashlib import blake2b, sha256
from typing import TYPE_CHECKING, Any, Final

import orjson

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

_KEY_BYTES: Final = 32
# What a client says about itself or its bill; no engine looks at it.
_NO_MATTER: Final = frozenset(
    {
        "metadata",
        "prompt_cache_key",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",  # told apart by the key itself, so that `false` and nothing are the same
        "user",
    }
)


@lru_cache(maxsize=4096)
def tenant_secret(secret: bytes, tenant: str) -> bytes:
    """Return the key that one tenant's hashes are keyed with."""
    return blake2b(tenant.encode(), key=secret, digest_size=_KEY_BYTES, person=b"autoglm-tenant").digest()


@lru_cache(maxsize=4096)
def _hash_of(secret: bytes, tenant: str) -> "Hash":
    """Return a hash that has taken in one tenant's secret; to be copied."""
    return sha256(tenant_secret(secret, tenant))


def answer_key(
    body: dict[str, Any], *, secret: bytes, tenant: str, pool: str, model: str, revision: str, target: str, stream: bool
) -> bytes | None:
    """Return 32 bytes that name the answer to a body; None when it is nested too deeply to be written again.

    `secret` has 16 to 64 bytes; gateways that share a store share it. `body` is not kept or changed.
    """
    asked = body
    if not _NO_MATTER.isdisjoint(body):
        asked = {name: value for name, value in body.items() if name not in _NO_MATTER}
    try:
        # A JSON list frames its parts: no text in one of them can look like the border to the next.
        text = orjson.dumps([pool, model, revision, target, stream, asked], option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:
        return None
    # Half the time of BLAKE2b where the processor knows SHA. A secret before the text is as good as an HMAC here: no
    # JSON list is the beginning of another one, so nothing can be appended.
    keyed = _hash_of(secret, tenant).copy()
    keyed.update(text)
    return keyed.digest()
