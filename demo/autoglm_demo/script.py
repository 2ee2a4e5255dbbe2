"""The demo's script: which deployments it plays with, how much traffic it makes, how long it waits, what it demands."""

from dataclasses import dataclass
from typing import Final

from autoglm_demo.curve import Curve, flash_sale


@dataclass(frozen=True, slots=True)
class Target:
    """The deployment of an example."""

    example: str
    namespace: str
    name: str


READY_SECONDS: Final = 180.0

SHOP: Final = Target("01-two-pools", "shop", "shop-assistant")
PROMPTS: Final = 240
PROMPTS_AT_ONCE: Final = 3  # no more than one replica is sized for: growing belongs to the peak
PROMPTS_SEED: Final = 2026
MARGIN_POINTS: Final = 12.0  # two standard deviations of 70 % of 60 answers
ROUTING_PERCENT: Final = 85.0
# Enough open queries for three replicas of each pool, on any machine: a closed loop adapts to how fast it is.
SHOPPERS: Final = 10
LAST_SHOPPERS: Final = 1
PEAK_SECONDS: Final = 75.0
PLATEAU_SECONDS: Final = 10.0
SHRINK_SECONDS: Final = 120.0

SALE: Final = Target("02-flash-sale", "flash-sale", "flash-sale")
NODES: Final = 32
SALE_CURVE: Final[Curve] = flash_sale(peak=240.0)
SALE_SEED: Final = 1111
# With the fleet's timing (8 ms a token for simple queries, 24 for complex ones), 96 tokens and these shares, the peak
# asks for every node and stays just below what 24 light and 8 large replicas can answer.
COMPLEX_SHARE: Final = 0.1
SALE_TOKENS: Final = 96
FAILURE_PERCENT: Final = 1.0
EMPTYING_SECONDS: Final = 60.0
