"""What a scenario is and what it finds."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Finding:
    """What was seen, in words, and whether it was the pitfall."""

    seen: str
    bites: bool


Run = Callable[[Path], Finding]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One pitfall; both runs get an empty directory of their own."""

    name: str
    pitfall: str
    raw: Run
    ours: Run
    timing: bool = False
    """Whether the plain server shows it on some machines and loads only; such ones are not part of the tests."""
