"""How far the size may move in one decision: the rate policies of autoscaling/v2."""

import math
from datetime import datetime
from typing import Final

from autoglm_api.spec import PolicyType, SelectPolicy
from autoglm_operator.scaling.history import History, change_within
from autoglm_operator.scaling.rules import Direction, Policy

LEGACY_FACTOR: Final = 2
LEGACY_MINIMUM: Final = 4


def grow_limit(current: int, history: History, rules: Direction, now: datetime) -> int:
    """Return the largest size that the scaleUp policies allow now; never below the current size."""
    if rules.select is SelectPolicy.DISABLED:
        return current
    choose = min if rules.select is SelectPolicy.MIN else max
    limit = choose(_grown(policy, _start(current, history, policy, now)) for policy in rules.policies)
    return max(limit, current)


def shrink_limit(current: int, history: History, rules: Direction, now: datetime) -> int:
    """Return the smallest size that the scaleDown policies allow now; never above the current size."""
    if rules.select is SelectPolicy.DISABLED:
        return current
    # Min is the policy of least change: the largest remaining size.
    choose = max if rules.select is SelectPolicy.MIN else min
    limit = choose(_shrunk(policy, _start(current, history, policy, now)) for policy in rules.policies)
    return min(limit, current)


def legacy_grow_limit(current: int) -> int:
    """Return the largest size without a `behavior`: double, and at least 4."""
    return max(LEGACY_FACTOR * current, LEGACY_MINIMUM)


def _start(current: int, history: History, policy: Policy, now: datetime) -> int:
    added = change_within(history.grown, policy.period, now)
    removed = change_within(history.shrunk, policy.period, now)
    return current - added + removed


def _grown(policy: Policy, start: int) -> int:
    if policy.type is PolicyType.PODS:
        return start + policy.value
    # Doubles as upstream, on purpose: 100 replicas and 10 % give 111, as kube-controller-manager does.
    return math.ceil(float(start) * (1 + float(policy.value) / 100))


def _shrunk(policy: Policy, start: int) -> int:
    if policy.type is PolicyType.PODS:
        return start - policy.value
    return int(float(start) * (1 - float(policy.value) / 100))
