"""All pools of the deployment, kept in step with the configuration and the endpoints."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from autoglm_api.config import GatewayConfig, PoolDemand
from autoglm_api.routing import WRITTEN_CLASSES
from autoglm_api.spec import QueryClass
from autoglm_gateway.balance import Address, SmoothWeighted
from autoglm_gateway.callers import Callers
from autoglm_gateway.pool import Pool
from autoglm_gateway.spillover import spill_to

# How late a query may notice that its deadline passed or that a shunned replica is welcome again.
_TICK_SECONDS: Final = 0.05


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Ready replicas per pool (address to revision), and how many gateways share them."""

    replicas: Mapping[str, Mapping[Address, str]] = field(default_factory=dict)
    gateways: int = 1


class Fleet:
    """The pools by name. Nothing is served before both configuration and endpoints are known.

    `forget(host, port)` is called for replicas that have gone, `configured(config)` for a new configuration.
    `weigh(where, text)` takes over routing weights that were found somewhere; None: there are none. `use_redis(url)`
    takes over the URL of the cache's Redis in the same way, after the configuration. `certify(where, entries)` takes
    over the certificate that clients are shown. `resized(slots)` hears how many queries all replicas take at once.
    """

    def __init__(
        self,
        forget: Callable[[str, int], None] = lambda _host, _port: None,
        configured: Callable[[GatewayConfig], None] = lambda _config: None,
        weighed: Callable[[str, str | None], None] = lambda _where, _text: None,
        use_redis: Callable[[str | None], None] = lambda _url: None,
        certify: Callable[[str, Mapping[str, bytes]], None] = lambda _where, _entries: None,
        resized: Callable[[int], None] = lambda _slots: None,
    ) -> None:
        self.pools: dict[str, Pool] = {}
        self.config: GatewayConfig | None = None
        self.callers = Callers()
        self._forget = forget
        self._configured = configured
        self.weigh = weighed
        self.use_redis = use_redis
        self.certify = certify
        self._resized = resized
        self._endpoints: Endpoints | None = None
        self._turns = {query_class: SmoothWeighted() for query_class in QueryClass}
        self._timer: asyncio.TimerHandle | None = None

    @property
    def synced(self) -> bool:
        """Whether configuration, endpoints and, where they are wanted, keys have been seen."""
        return self.config is not None and self._endpoints is not None and self.callers.known

    def missing(self) -> str:
        """Return what has not been seen yet, for people."""
        wanted = {"configuration": self.config, "endpoints": self._endpoints}
        told = [name for name, value in wanted.items() if value is None]
        return " and ".join(told if self.callers.known else [*told, "API keys"])

    def configure(self, config: GatewayConfig) -> None:
        """Take over a configuration; queries that wait for a pool that is gone are turned away."""
        now = asyncio.get_running_loop().time()
        self.config = config
        self.callers.want(keys=config.auth.api_keys_secret_ref is not None)
        self._configured(config)
        kept = {pool.name for pool in config.pools}
        for name in [name for name in self.pools if name not in kept]:
            self.pools.pop(name).dismiss()
        for pool in config.pools:
            if pool.name in self.pools:
                self.pools[pool.name].reconfigure(pool, config.queue, now)
            else:
                self.pools[pool.name] = Pool(pool, config.queue)
        if self._endpoints is not None:
            self.locate(self._endpoints)

    def locate(self, endpoints: Endpoints) -> None:
        """Take over the ready replicas."""
        now = asyncio.get_running_loop().time()
        self._endpoints = endpoints
        self.callers.share(endpoints.gateways)
        for name, pool in self.pools.items():
            for address in pool.set_replicas(endpoints.replicas.get(name, {}), endpoints.gateways, now):
                self._forget(*address)
        self._resized(sum(pool.room().slots for pool in self.pools.values()))

    def choose(self, query_class: QueryClass) -> Pool | None:
        """Return the pool whose turn it is among those of a class.

        Pools without a ready replica come last, before them those where the query would wait: weights share what
        there is, they do not let a query wait beside a free slot.
        """
        serving = [pool for pool in self.pools.values() if pool.config.serves is query_class]
        ready = [pool for pool in serving if pool.ready_replicas] or serving
        if len(ready) > 1:
            ready = [pool for pool in ready if not pool.room().is_full] or ready
        if len(ready) < 2:  # noqa: PLR2004 - nothing to choose from
            return ready[0] if ready else None
        return self.pools[self._turns[query_class].pick({pool.name: pool.config.weight for pool in ready})]

    def spill(self, query_class: QueryClass, floor_percent: int) -> Pool | None:
        """Return the pool of another class that takes a query because its own has no room, or None."""
        own = [pool.room() for pool in self.pools.values() if pool.config.serves is query_class]
        others = [one for one in WRITTEN_CLASSES if one is not query_class]
        other = [pool.room() for pool in self.pools.values() if pool.config.serves in others]
        name = spill_to(own, other, floor_percent)
        return None if name is None else self.pools[name]

    def by_model(self, model: str) -> Pool | None:
        """Return the pool that serves a model of that name, or None."""
        return next((pool for pool in self.pools.values() if pool.config.model_name == model), None)

    def demand(self) -> list[PoolDemand]:
        """Return what this gateway asks of every pool."""
        return [pool.demand() for pool in self.pools.values()]

    def start(self) -> None:
        """Begin to look after those who wait; needs a running event loop."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for pool in self.pools.values():
            if pool.queued:
                pool.serve_waiting(now)
        self._timer = loop.call_later(_TICK_SECONDS, self.start)

    def stop(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()
