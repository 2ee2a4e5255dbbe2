"""A sweep: one setting takes several values, so that cost and objective can be weighed against each other."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import yaml
from pydantic import ValidationError

from autoglm_api.spec import Scaling
from autoglm_cli.simulation.pools import told
from autoglm_cli.simulation.problem import Problem
from autoglm_operator.simulate.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Sweep:
    """A setting and its values, as written."""

    name: str
    """One of OPTIONS, or a path into `scaling`, such as behavior.scaleDown.stabilizationWindowSeconds."""
    values: tuple[str, ...]


def parse_sweep(written: str) -> Sweep:
    """Return the sweep that NAME=V1,V2,... means; raises Problem."""
    name, equals, values = written.partition("=")
    listed = tuple(value.strip() for value in values.split(",") if value.strip())
    if not (equals and name and listed):
        raise Problem(f"sweep {written!r} is not NAME=VALUE,VALUE,...")
    return Sweep(name.strip(), listed)


Change = Callable[[Experiment, float], Experiment]


def _capacity(experiment: Experiment, value: float) -> Experiment:
    return _served(experiment, capacity_tokens=value)


def _startup(experiment: Experiment, value: float) -> Experiment:
    return _served(experiment, startup_seconds=value)


def _served(experiment: Experiment, **changes: float) -> Experiment:
    service = replace(experiment.run.service, **changes)  # type: ignore[arg-type]
    return replace(experiment, run=replace(experiment.run, service=service))


def _scrape(experiment: Experiment, value: float) -> Experiment:
    return replace(experiment, run=replace(experiment.run, scrape_seconds=max(1, round(value))))


OPTIONS: Final[dict[str, Change]] = {
    "capacity-tokens": _capacity,
    "startup-seconds": _startup,
    "scrape-seconds": _scrape,
    "tick-seconds": lambda experiment, value: replace(experiment, tick_seconds=value),
    "multiply": lambda experiment, value: replace(experiment, multiply=value),
}


def changed(experiment: Experiment, name: str, value: str) -> Experiment:
    """Return the experiment with one setting changed; raises Problem."""
    option = OPTIONS.get(name)
    if option is not None:
        return option(experiment, _positive(name, value))
    scaling = with_field(experiment.scaling, name, value)
    run = replace(experiment.run, minimum=scaling.min_replicas, maximum=scaling.max_replicas)
    return replace(experiment, scaling=scaling, run=run)


def with_field(scaling: Scaling, path: str, value: str) -> Scaling:
    """Return `scaling` with the field at a dotted path (list items by number) set to a YAML value; raises Problem."""
    body = scaling.model_dump(mode="json", by_alias=True, exclude_none=True)
    try:
        *parents, last = path.split(".")
        place: Any = body
        for part in parents:
            place = place[int(part)] if isinstance(place, list) else place.setdefault(part, {})
        place[int(last) if isinstance(place, list) else last] = _as_the_field_wants(place, last, value)
    except (ValueError, IndexError, TypeError, AttributeError) as error:
        raise Problem(f"scaling has no field {path}; besides its fields there are {', '.join(OPTIONS)}") from error
    try:
        return Scaling.model_validate(body)
    except ValidationError as error:
        raise Problem(f"{path}={value}: {told(error)}") from error


def _as_the_field_wants(place: Any, last: str, value: str) -> Any:
    """Return a quantity as text and all else as YAML reads it."""
    is_text = isinstance(place, dict) and (last in {"target", "tolerance"} or isinstance(place.get(last), str))
    return value if is_text else yaml.safe_load(value)


def _positive(name: str, value: str) -> float:
    try:
        figure = float(value)
    except ValueError:
        figure = math.nan
    if not 0 < figure < math.inf:
        raise Problem(f"{name}={value}: a number above 0 is needed")
    return figure
