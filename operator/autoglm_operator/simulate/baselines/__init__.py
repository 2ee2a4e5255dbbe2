"""Published scaling rules as policies of the simulator, each on its exact pure parts, with source and version.

All see the same `View`: what a real one would read from Prometheus. Where a product has its own, faster collection
(Knative, Ray Serve) it gets the last scrape at each of its ticks; docs/reference/scaling-differences.md says what that
means. Targets that a product leaves to its user are one share of what a replica can do, `TARGET_SHARE`, for all.
"""

from typing import Final

TARGET_SHARE: Final = 0.7
"""Share of a replica's capacity that users are told to plan with (70 % utilisation)."""
EPOCH: Final = 1_700_000_000
"""The Unix time of a trace's start: rules with wall clocks need some."""
