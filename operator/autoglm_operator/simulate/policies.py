"""The policies that `autoglm simulate` and the benchmarks know, by name.

A row is `name: "module:factory"`; the factory takes a `Sizing`. Modules are imported when they are asked for, so a
policy costs nothing until then.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from autoglm_api.spec import Scaling
from autoglm_operator.simulate.policy import Policy


@dataclass(frozen=True, slots=True)
class Sizing:
    """All that a policy is told before the trace begins."""

    scaling: Scaling
    """Bounds, signals and behavior of the pool."""
    capacity_tokens: float
    """Tokens/s that one replica is said to do; a `profile` fault makes the truth differ."""
    concurrency: int
    """Queries that one replica works on at once."""
    startup_seconds: float
    """Seconds from a new replica to its readiness, as the profile says."""
    tick_seconds: float
    """How often the user wants decisions; a policy with a fixed interval of its own may ignore it."""
    peak_tokens: float
    """Highest 60 s mean of the offered tokens/s: clairvoyance, for the static baseline only."""


Factory = Callable[[Sizing], Policy]

_HERE: Final = "autoglm_operator.simulate"
POLICIES: Final[dict[str, str]] = {
    "ours": f"{_HERE}.ours:ours",
    "static": f"{_HERE}.static:static_peak",
    "hpa-utilization": f"{_HERE}.baselines.hpa:hpa_utilization",
    "hpa-token-rate": f"{_HERE}.baselines.hpa:hpa_token_rate",
    "hpa-concurrency": f"{_HERE}.baselines.hpa:hpa_concurrency",
    "kpa": f"{_HERE}.baselines.knative:knative",
    "wva": f"{_HERE}.baselines.wva:wva",
    "dynamo": f"{_HERE}.baselines.dynamo:dynamo",
    "dynamo-trend": f"{_HERE}.baselines.dynamo:dynamo_trend",
    "ray-serve": f"{_HERE}.baselines.ray_serve:ray_serve",
}


class UnknownPolicyError(Exception):
    """No such policy, or its module cannot be imported; the message is a sentence for the user."""


def factory_of(name: str) -> Factory:
    """Return the factory of a policy; raises UnknownPolicyError."""
    if name not in POLICIES:
        raise UnknownPolicyError(f"no policy {name!r}; there are {', '.join(sorted(POLICIES))}")
    module, _, attribute = POLICIES[name].partition(":")
    try:
        factory: Factory = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UnknownPolicyError(f"policy {name!r} cannot be used: {error}") from error
    return factory
