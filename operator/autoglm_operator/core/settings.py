"""What the operator was told when it was installed, as far as children depend on it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Images:
    """Container images of the children; a template in the resource may name others."""

    gateway: str
    node: str
    pull_policy: str = "IfNotPresent"
