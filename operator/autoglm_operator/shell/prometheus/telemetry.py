"""All that one tick has read, and what of it is a pool's load."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from autoglm_api.spec import Signal
from autoglm_operator.scaling.model import NOT_READ, Load, PoolTarget
from autoglm_operator.scaling.readings import NoData, Reading
from autoglm_operator.shell.prometheus.coverage import GatewayMetrics
from autoglm_operator.shell.prometheus.kafka import lag_of
from autoglm_operator.shell.prometheus.own import meant
from autoglm_operator.shell.prometheus.replicas import Parts, PoolKey, reading_of
from autoglm_operator.shell.prometheus.reply import PrometheusError, Row
from autoglm_operator.shell.prometheus.wanted import Kind, kind_of
from autoglm_operator.shell.share import Share


@dataclass(frozen=True, slots=True)
class Telemetry:
    """What gateways and replicas reported; what could not be read is an error in its place."""

    gateways: GatewayMetrics
    kinds: Mapping[Kind, Mapping[PoolKey, Parts] | PrometheusError] = field(default_factory=dict)
    lags: Sequence[Row] | PrometheusError = ()
    own: Mapping[str, Reading] = field(default_factory=dict)
    fresh_seconds: float = 60.0

    def load(self, key: PoolKey, target: PoolTarget, share: Share) -> Load:
        """Return the load of a pool that takes this share of its class."""
        load = self.gateways.load(key.deployment, key.pool, target.serves, share)
        further = {signal.key: self._further(signal, key, target) for signal in target.scaling.signals}
        return replace(load, signals={name: reading for name, reading in further.items() if reading is not None})

    def _further(self, signal: Signal, key: PoolKey, target: PoolTarget) -> Reading | None:
        """Return what a signal follows beside the gateways' load; None for one that follows only that."""
        if (kind := kind_of(signal)) is not None:
            return self._of_replicas(kind, key, target)
        if signal.query is not None:
            answer = self.own.get(signal.query, NOT_READ)
            return meant(answer, empty_means_zero=bool(signal.empty_means_zero))
        if signal.consumer_group is None:
            return None
        if isinstance(self.lags, PrometheusError):
            return NoData(self.lags.problem, self.lags.detail)
        return lag_of(self.lags, signal.consumer_group, signal.topic)

    def _of_replicas(self, kind: Kind, key: PoolKey, target: PoolTarget) -> Reading:
        found = self.kinds.get(kind, {})
        if isinstance(found, PrometheusError):
            return NoData(found.problem, found.detail)
        return reading_of(kind, found.get(key, {}), current=target.current, fresh_seconds=self.fresh_seconds)
