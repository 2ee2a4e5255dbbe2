"""No Prometheus: every figure comes from the gateways and workers themselves."""

from datetime import datetime
from typing import NoReturn

from autoglm_operator.scaling.readings import Problem
from autoglm_operator.shell.prometheus.reply import PrometheusError


class NoPrometheus:
    """Stands where a Prometheus would be asked, when none is configured."""

    async def read(self, now: datetime, wanted: object) -> NoReturn:
        """Raise PrometheusError: there is nothing to ask."""
        del now, wanted
        raise PrometheusError(Problem.UNREACHABLE, "no Prometheus is configured")

    async def aclose(self) -> None:
        """Nothing is open."""
