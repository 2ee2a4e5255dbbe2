"""Which pools a simulation is about, and how each is set: a manifest's, or one that the options describe."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from autoglm_api import names
from autoglm_api.schema import milli_units
from autoglm_api.spec import Pool, QueryClass, Scaling, SignalType, Spec, parse_spec
from autoglm_cli.simulation.problem import Problem
from autoglm_operator.simulate.service import Service
from autoglm_operator.simulate.together import Place

DEFAULT_CAPACITY: Final = 2000.0
WIDE: Final = Scaling(min_replicas=1, max_replicas=1000)
"""Bounds without a manifest: they never matter."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options say of a pool; None: the manifest or the default decides."""

    capacity_tokens: float | None = None
    startup_seconds: float | None = None
    concurrency: int | None = None
    minimum: int | None = None
    maximum: int | None = None


@dataclass(frozen=True, slots=True)
class SimulatedPool:
    """A pool of a simulation."""

    name: str
    serves: QueryClass | None
    """None: it gets the whole trace."""
    share: float
    """Its share of its class."""
    scaling: Scaling
    service: Service
    gpus_per_replica: int = 1
    place: Place | None = None
    """What it is among the pools of its deployment; None: it is alone."""
    gpu_budget: int | None = None
    """The deployment's."""


def pools_of(manifest: Path | None, name: str | None, asked: Asked) -> list[SimulatedPool]:
    """Return the pool of that name with the whole trace, or all of the manifest with their shares; raises Problem."""
    if manifest is None:
        return [_with_bounds(SimulatedPool(name or "pool", None, 1.0, WIDE, _service(WIDE, 8, asked)), asked)]
    spec = spec_of(manifest)
    if name is None:
        return [
            replace(
                _with_bounds(_simulated(pool, _share(pool, spec.pools), asked), asked),
                place=Place(pool.serves, pool.weight, pool.engine.gpus_per_replica),
                gpu_budget=spec.gpu_budget,
            )
            for pool in spec.pools
        ]
    found = next((pool for pool in spec.pools if pool.name == name), None)
    if found is None:
        raise Problem(f"{manifest.name} has no pool {name!r}; it has {', '.join(pool.name for pool in spec.pools)}")
    return [_with_bounds(replace(_simulated(found, 1.0, asked), serves=None), asked)]


def spec_of(manifest: Path) -> Spec:
    """Return the spec of the manifest's first deployment; raises Problem."""
    try:
        documents = [one for one in yaml.safe_load_all(manifest.read_text("utf-8")) if isinstance(one, dict)]
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise Problem(f"{manifest} cannot be read: {error}") from error
    ours = next((one for one in documents if one.get("kind") == names.KIND), None)
    if ours is None:
        raise Problem(f"{manifest} has no {names.KIND}")
    try:
        return parse_spec(_object(ours.get("spec")))
    except ValidationError as error:
        raise Problem(f"{manifest}: {told(error)}") from error


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def told(error: ValidationError) -> str:
    """Return a validation's first finding as a sentence: where, and what."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(str(part) for part in first['loc']) or 'scaling'}: {first['msg']}"


def _share(pool: Pool, pools: Sequence[Pool]) -> float:
    return pool.weight / sum(one.weight for one in pools if one.serves is pool.serves)


def _simulated(pool: Pool, share: float, asked: Asked) -> SimulatedPool:
    service = _service(pool.scaling, pool.concurrency_per_replica, asked)
    return SimulatedPool(pool.name, pool.serves, share, pool.scaling, service, max(1, pool.engine.gpus_per_replica))


def _service(scaling: Scaling, concurrency: int, asked: Asked) -> Service:
    batch = asked.concurrency or concurrency
    return Service(
        capacity_tokens=asked.capacity_tokens or _known_capacity(scaling),
        concurrency=batch,
        batching_gain=max(1.0, batch / 2),
        startup_seconds=asked.startup_seconds if asked.startup_seconds is not None else float(scaling.startup_seconds),
    )


def _known_capacity(scaling: Scaling) -> float:
    """Return what TokenDemand's target says of a replica, or the default."""
    for signal in scaling.signals:
        if signal.type is SignalType.TOKEN_DEMAND and signal.target is not None:
            return milli_units(signal.target) / 1000
    return DEFAULT_CAPACITY


def _with_bounds(pool: SimulatedPool, asked: Asked) -> SimulatedPool:
    minimum = asked.minimum if asked.minimum is not None else pool.scaling.min_replicas
    maximum = asked.maximum if asked.maximum is not None else pool.scaling.max_replicas
    if minimum > maximum:
        raise Problem(f"pool {pool.name}: the smallest size {minimum} is greater than the largest, {maximum}")
    scaling = pool.scaling.model_copy(update={"min_replicas": minimum, "max_replicas": maximum})
    return replace(pool, scaling=scaling)
