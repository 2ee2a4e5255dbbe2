"""Conditions after KEP-1623: lastTransitionTime moves only when the status does."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from autoglm_api.status import Condition, ConditionStatus, ConditionType, Reason
from autoglm_operator.core import deployment

_MAX_MESSAGE: Final = 4096  # a refusal may quote a whole object


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition before it has a time."""

    type: ConditionType
    status: ConditionStatus
    reason: Reason
    message: str


def finding(kind: ConditionType, holds: bool, reason: Reason, message: str) -> Finding:  # noqa: FBT001
    """Return a finding that is either True or False."""
    return Finding(kind, ConditionStatus.TRUE if holds else ConditionStatus.FALSE, reason, message)


def conditions(
    findings: list[Finding], before: list[Condition] | None, generation: int | None, now: datetime
) -> list[Condition]:
    """Give the findings their times: the old one where the status is the same."""
    return [_condition(one, deployment.condition(before, one.type), generation, now) for one in findings]


def timestamp(now: datetime) -> str:
    """Return a time as Kubernetes writes it: UTC, seconds."""
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _condition(one: Finding, before: Condition | None, generation: int | None, now: datetime) -> Condition:
    same = before is not None and before.status == one.status
    return Condition(
        type=one.type,
        status=one.status,
        reason=one.reason,
        message=one.message[:_MAX_MESSAGE],
        last_transition_time=before.last_transition_time if before is not None and same else timestamp(now),
        observed_generation=generation,
    )
