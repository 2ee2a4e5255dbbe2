"""The operator's settings, from environment variables that the chart writes."""

from collections.abc import Mapping
from dataclasses import dataclass

from autoglm_api import names
from autoglm_operator.core.settings import Images

_DEFAULT_RESYNC_SECONDS = 300.0
_DEFAULT_SCALING_SECONDS = 5.0
# A figure of a minute ago is old, and a minute without decisions is a gap: pools would never shrink.
_LONGEST_SCALING_SECONDS = 30.0


class SettingError(Exception):
    """A setting is missing or makes no sense; the message names the variable."""


@dataclass(frozen=True, slots=True)
class Environment:
    """How this operator was installed."""

    images: Images
    prometheus_url: str | None
    """None: no scaling; every pool keeps its size."""
    scaling_interval_seconds: float
    resync_seconds: float
    namespaces: tuple[str, ...]
    """Empty: all namespaces."""
    log_level: str
    admin_port: int
    instance: str


def read_environment(variables: Mapping[str, str]) -> Environment:
    """Read the settings; raises SettingError with a sentence that says what to set."""
    return Environment(
        images=Images(
            gateway=_required(variables, names.ENV_GATEWAY_IMAGE),
            node=_required(variables, names.ENV_NODE_IMAGE),
            pull_policy=variables.get(names.ENV_IMAGE_PULL_POLICY) or "IfNotPresent",
        ),
        prometheus_url=variables.get(names.ENV_PROMETHEUS_URL) or None,
        scaling_interval_seconds=_scaling_interval(variables),
        resync_seconds=_seconds(variables, names.ENV_RESYNC_SECONDS, _DEFAULT_RESYNC_SECONDS),
        namespaces=_list(variables.get(names.ENV_WATCH_NAMESPACES, "")),
        log_level=(variables.get(names.ENV_LOG_LEVEL) or "info").upper(),
        admin_port=int(_seconds(variables, names.ENV_ADMIN_PORT, names.OPERATOR_ADMIN_PORT)),
        instance=variables.get(names.ENV_POD_NAME) or names.MANAGED_BY,
    )


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _required(variables: Mapping[str, str], name: str) -> str:
    value = variables.get(name, "")
    if not value:
        raise SettingError(f"{name} is not set: the chart sets it; outside a cluster set it to an image name")
    return value


def _scaling_interval(variables: Mapping[str, str]) -> float:
    seconds = _seconds(variables, names.ENV_SCALING_INTERVAL, _DEFAULT_SCALING_SECONDS)
    if seconds > _LONGEST_SCALING_SECONDS:
        raise SettingError(f"{names.ENV_SCALING_INTERVAL}={seconds:g} must be at most {_LONGEST_SCALING_SECONDS:g}")
    return seconds


def _seconds(variables: Mapping[str, str], name: str, default: float) -> float:
    text = variables.get(name) or str(default)
    try:
        number = float(text)
    except ValueError as error:
        raise SettingError(f"{name}={text!r} is not a number") from error
    if not number > 0:  # also refuses nan
        raise SettingError(f"{name}={text!r} must be greater than 0")
    return number
