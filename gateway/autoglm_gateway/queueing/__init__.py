"""Who waits and who is next: tiers, task types, orders within a tier, predictions of length. Pure."""

from autoglm_api.keys import Tier
from autoglm_gateway.queueing.line import Policy, WaitingLine
from autoglm_gateway.queueing.ticket import Order, TaskType, TierPolicy, Wish

__all__ = ["Order", "Policy", "TaskType", "Tier", "TierPolicy", "WaitingLine", "Wish"]
