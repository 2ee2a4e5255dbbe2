"""From raw series to the load of a pool: every gateway that should report does, recently, or the figure is partial."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from autoglm_api.spec import QueryClass
from autoglm_operator.core.keys import ObjectKey
from autoglm_operator.scaling.model import Load
from autoglm_operator.scaling.readings import AtLeast, Fresh, NoData, Problem, Reading, total
from autoglm_operator.shell.prometheus.figures import float_of, number_of
from autoglm_operator.shell.prometheus.query import Series
from autoglm_operator.shell.prometheus.reply import Reply, Sample, SeriesKey
from autoglm_operator.shell.share import ALL, Share

FUTURE_SECONDS: Final = 5.0
"""A sample may be this much newer than its evaluation before its clock counts as wrong."""
# A rate outlives its gateway by a window: it does not show that the gateway is still there.
_RATES: Final = frozenset({Series.OFFERED, Series.OFFERED_NOW, Series.SERVED})


@dataclass(frozen=True, slots=True)
class GatewayMetrics:
    """What the gateways of all resources reported in one tick."""

    reply: Reply
    gateways: Mapping[ObjectKey, frozenset[str]]
    """Every gateway of each deployment that is a scrape target, up or not, or that reports."""
    listed: frozenset[ObjectKey]
    """Deployments whose gateways Prometheus lists as targets (`up`); without it coverage is unknown."""
    fresh_seconds: float

    def load(
        self, deployment: ObjectKey, pool: str, serves: QueryClass = QueryClass.SIMPLE, share: Share = ALL
    ) -> Load:
        """Return the load of a pool, which takes `share` of what is offered to its class.

        A pool that nobody reports has no data, not zero load.
        """
        now, then = Series.OFFERED_NOW, Series.OFFERED
        return Load(
            queued=self._reading(deployment, pool, Series.QUEUED),
            in_flight=self._reading(deployment, pool, Series.IN_FLIGHT, Series.IN_FLIGHT_AT),
            queued_tokens=self._reading(deployment, pool, Series.QUEUED_TOKENS),
            offered_tokens=share.of(self._reading(deployment, pool, then, part=serves)),
            offered_tokens_now=share.of(self._reading(deployment, pool, now, part=serves)),
            served_tokens=self._reading(deployment, pool, Series.SERVED),
        )

    def _reading(
        self, deployment: ObjectKey, pool: str, value: Series, at: Series = Series.QUEUED_AT, part: str = ""
    ) -> Reading:
        """Return the sum over the gateways; a gateway's samples are of one scrape, so one time stands for all."""
        gateways = sorted(self.gateways.get(deployment, ()))
        if not gateways:
            return NoData(Problem.MISSING, f"no gateway of {deployment.namespace}/{deployment.name} is scraped")
        parts: list[Reading] = []
        for gateway in gateways:
            of_pool = SeriesKey(at, deployment.namespace, deployment.name, pool, gateway)
            samples = self.reply.samples.get(of_pool._replace(series=value, part=part or pool), [])
            parts.append(_figure(samples, self.reply.samples.get(of_pool, []), self.fresh_seconds))
        return self._doubted(_covered(parts, gateways), deployment)

    def _doubted(self, reading: Reading, deployment: ObjectKey) -> Reading:
        doubt = None
        if deployment not in self.listed:
            doubt = "no `up` of the gateways: their number is unknown"
        elif self.reply.warnings:
            doubt = f"Prometheus warns: {self.reply.warnings[0][:200]}"
        if doubt is None or not isinstance(reading, Fresh):
            return reading
        return AtLeast(reading.milli, Problem.PARTIAL, doubt)


def gateway_metrics(reply: Reply, fresh_seconds: float) -> GatewayMetrics:
    """Return the reply with the gateways that should report; a sample older than `fresh_seconds` is stale."""
    gateways: dict[ObjectKey, set[str]] = {}
    listed: set[ObjectKey] = set()
    for key in reply.samples:
        if key.series in _RATES:
            continue
        deployment = ObjectKey(key.namespace, key.deployment)
        gateways.setdefault(deployment, set()).add(key.instance)
        if key.series is Series.UP:
            listed.add(deployment)
    found = {deployment: frozenset(instances) for deployment, instances in gateways.items()}
    return GatewayMetrics(reply, found, frozenset(listed), fresh_seconds)


def _covered(parts: list[Reading], gateways: list[str]) -> Reading:
    reading = total(*parts)
    if not isinstance(reading, AtLeast):
        return reading
    silent = [gateway for gateway, part in zip(gateways, parts, strict=True) if not isinstance(part, Fresh)]
    told = f"{len(gateways) - len(silent)} of {len(gateways)} gateways report; {silent[0]}: {reading.problem}"
    return AtLeast(reading.milli, Problem.PARTIAL, told)


def _figure(samples: list[Sample], times: list[Sample], fresh_seconds: float) -> Reading:
    if not samples:
        return NoData(Problem.MISSING, "no series")
    if len(samples) > 1 or len(times) > 1:
        return NoData(Problem.DUPLICATE, f"{max(len(samples), len(times))} series where one belongs")
    late = _lateness(times, fresh_seconds)
    return late or number_of(samples[0].value)


def _lateness(times: list[Sample], fresh_seconds: float) -> NoData | None:
    taken_at = float_of(times[0].value) if times else None
    if taken_at is None or not math.isfinite(taken_at):
        return NoData(Problem.STALE, "no sample time")
    age = times[0].evaluated_at - taken_at
    if age > fresh_seconds:
        return NoData(Problem.STALE, f"{age:.0f} s old, {fresh_seconds:.0f} s allowed")
    if age < -FUTURE_SECONDS:
        return NoData(Problem.FUTURE, f"{-age:.0f} s in the future")
    return None
