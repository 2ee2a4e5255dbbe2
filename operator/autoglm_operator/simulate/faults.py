"""What goes wrong in a run: metrics, nodes, the operator, room in the cluster, the profile.

| written | what happens |
|---|---|
| `outage@600+300` | no metrics from 600 s on, for 300 s |
| `partial@600+300:0.3` | 30 % of the sources do not answer: sums lack their part |
| `nodeloss@600:0.2` | 20 % of the ready replicas are gone at once, and start anew |
| `restart@600+30` | the operator is away for 30 s and has forgotten everything; `:kept` keeps its state |
| `quota@600+300:12` | room for 12 replicas; what runs stays |
| `profile:0.7` | replicas really do 0.7 of what the profile says; with a time, only then |

A missing duration means: to the end (restart: 0 s). A missing start means: from the start.
"""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class FaultKind(StrEnum):
    """What goes wrong."""

    OUTAGE = "outage"
    PARTIAL = "partial"
    NODE_LOSS = "nodeloss"
    RESTART = "restart"
    QUOTA = "quota"
    PROFILE = "profile"


class FaultError(ValueError):
    """A fault is not written as it should be; the message is a sentence for the user."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, from `start` up to `end` (excluded), in seconds of the trace."""

    kind: FaultKind
    start: float = 0.0
    end: float = math.inf
    value: float = 0.0
    """Share (partial, nodeloss), replicas (quota), factor (profile), 1 for a restart that keeps the state."""

    @property
    def words(self) -> str:
        """What a user may write for it."""
        lasts = f"+{self.end - self.start:g}" if math.isfinite(self.end) else ""
        value = {FaultKind.OUTAGE: "", FaultKind.RESTART: ":kept" if self.value else ":lost"}
        return f"{self.kind}@{self.start:g}{lasts}{value.get(self.kind, f':{self.value:g}')}"

    def is_on(self, now: float) -> bool:
        """Tell whether the fault lasts at a time."""
        return self.start <= now < self.end


_NUMBER: Final = r"\d+(?:\.\d+)?"
_WRITTEN: Final = re.compile(rf"(?P<kind>[a-z]+)(?:@(?P<at>{_NUMBER})(?:\+(?P<for>{_NUMBER}))?)?(?::(?P<value>\S+))?")
_DEFAULT_VALUE: Final = {
    FaultKind.OUTAGE: "0",
    FaultKind.PARTIAL: "0.3",
    FaultKind.NODE_LOSS: "0.2",
    FaultKind.RESTART: "lost",
    FaultKind.PROFILE: "0.7",
}
_RESTARTS: Final = {"lost": 0.0, "kept": 1.0}


def parse_fault(written: str) -> Fault:
    """Return the fault that a word of the command line means; raises FaultError."""
    match = _WRITTEN.fullmatch(written)
    kinds = ", ".join(FaultKind)
    if match is None or match["kind"] not in set(FaultKind):
        raise FaultError(f"fault {written!r} is not KIND[@START[+SECONDS]][:VALUE] with KIND one of {kinds}")
    kind = FaultKind(match["kind"])
    start = float(match["at"] or 0)
    lasts = float(match["for"]) if match["for"] else (0.0 if kind is FaultKind.RESTART else math.inf)
    return Fault(kind, start, start + lasts, _value(kind, match["value"], written))


def _value(kind: FaultKind, given: str | None, written: str) -> float:
    text = given if given is not None else _DEFAULT_VALUE.get(kind)
    if text is None:
        raise FaultError(f"fault {written!r} needs a value, such as {kind}@600+300:12")
    if kind is FaultKind.RESTART:
        if text not in _RESTARTS:
            raise FaultError(f"fault {written!r}: a restart's value is lost or kept")
        return _RESTARTS[text]
    return _figure(kind, text, written)


_LIMITS: Final[dict[FaultKind, tuple[Callable[[float], bool], str]]] = {
    FaultKind.OUTAGE: (lambda value: value == 0, "an outage takes no value"),
    FaultKind.PARTIAL: (lambda value: 0 < value < 1, "the share must be between 0 and 1"),
    FaultKind.NODE_LOSS: (lambda value: 0 < value <= 1, "the share must be above 0 and at most 1"),
    FaultKind.QUOTA: (lambda value: value == int(value), "the quota must be a whole number"),
    FaultKind.PROFILE: (lambda value: 0 < value <= 10, "the factor must be above 0 and at most 10"),  # noqa: PLR2004
}


def _figure(kind: FaultKind, text: str, written: str) -> float:
    is_fine, rule = _LIMITS[kind]
    if re.fullmatch(_NUMBER, text) is None or not is_fine(float(text)):
        raise FaultError(f"fault {written!r}: {rule}")
    return float(text)


@dataclass(frozen=True, slots=True)
class Faults:
    """All faults of a run, asked by what they do."""

    all: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, faults: Iterable[Fault]) -> "Faults":
        """Return the faults in order of their start."""
        return cls(tuple(sorted(faults, key=lambda fault: fault.start)))

    def metrics_are_missing(self, now: float) -> bool:
        """Tell whether there are no metrics."""
        return any(fault.is_on(now) for fault in self._of(FaultKind.OUTAGE))

    def partial(self, now: float) -> float:
        """Return the share of the sources that do not answer."""
        return max((fault.value for fault in self._of(FaultKind.PARTIAL) if fault.is_on(now)), default=0.0)

    def operator_is_away(self, now: float) -> bool:
        """Tell whether nobody decides."""
        return any(fault.is_on(now) for fault in self._of(FaultKind.RESTART))

    def quota(self, now: float) -> int | None:
        """Return the replicas that there is room for; None without a limit."""
        return min((int(fault.value) for fault in self._of(FaultKind.QUOTA) if fault.is_on(now)), default=None)

    def profile(self, now: float) -> float:
        """Return the true capacity as a factor of the profile's."""
        return math.prod(fault.value for fault in self._of(FaultKind.PROFILE) if fault.is_on(now))

    def lost_share(self, before: float, now: float) -> float:
        """Return the share of the ready replicas that is lost in (before, now]."""
        shares = (fault.value for fault in self._of(FaultKind.NODE_LOSS) if before < fault.start <= now)
        return 1.0 - math.prod(1.0 - share for share in shares)

    def state_is_lost(self, before: float, now: float) -> bool:
        """Tell whether the operator restarted without its state in (before, now]."""
        return any(before < fault.start <= now and not fault.value for fault in self._of(FaultKind.RESTART))

    def _of(self, kind: FaultKind) -> tuple[Fault, ...]:
        return tuple(fault for fault in self.all if fault.kind is kind)
