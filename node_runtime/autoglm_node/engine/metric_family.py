"""Gauges on Triton's own metrics page; only inside Triton's Python backend."""

from typing import Any, Final

import triton_python_backend_utils as pb_utils

# Triton forgets the values of a family that Python has collected; a process of its backend holds one model.
_FAMILIES: Final[dict[str, Any]] = {}


def gauge_family(name: str, text: str) -> Any:
    """Return a new family of gauges, described by `text`; it lasts as long as the process."""
    _FAMILIES[name] = pb_utils.MetricFamily(name=name, description=text, kind=pb_utils.MetricFamily.GAUGE)
    return _FAMILIES[name]
