"""Moments and behaviours that scaling tests share."""

from datetime import UTC, datetime, timedelta
from typing import Any

from autoglm_api.spec import Behavior

START = datetime(2026, 1, 1, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """Return the moment that many seconds after the start of the test's world."""
    return START + timedelta(seconds=seconds)


def behavior(up: dict[str, Any] | None = None, down: dict[str, Any] | None = None) -> Behavior:
    """Return a behaviour from its JSON parts."""
    parts = {"scaleUp": up, "scaleDown": down}
    return Behavior.model_validate({name: part for name, part in parts.items() if part is not None})


def pods(value: int, period_seconds: int) -> dict[str, Any]:
    """Return a policy of that many pods."""
    return {"type": "Pods", "value": value, "periodSeconds": period_seconds}


def percent(value: int, period_seconds: int) -> dict[str, Any]:
    """Return a policy of that many percent."""
    return {"type": "Percent", "value": value, "periodSeconds": period_seconds}
