"""Scaling cases by chance, with a taste for edges: targets that are just met, pods in every state, old events."""

from collections.abc import Sequence
from random import Random
from typing import Any

Json = dict[str, Any]
DIRECTIONS = ("scaleUp", "scaleDown")
PHASES = ("Running", "Pending", "Failed", "Succeeded", "Unknown")
KINDS = ("Utilization", "Utilization", "RawResource", "Pods", "Value", "AverageValue", "ObjectAverage")


def drawn(chance: Random) -> Json:
    """Return one case. Ages end on half a second: the border itself is a matter of unit tests."""
    count = chance.choice([0, 1, 2, 3, 4, 5, 8, 13])
    spec = chance.choice([count, count, count, max(1, count + chance.randint(-2, 3)), chance.randint(1, 30)]) or 1
    minimum = chance.choice([0, 1, 1, 2, 5])
    pods = [_pod(chance, index) for index in range(count)]
    given = _behavior(chance)
    return {
        "Spec": spec,
        "Status": chance.choice([spec, spec, count, spec + 1, max(0, spec - 1)]),
        "Min": minimum,
        "Max": max(minimum, 1, chance.choice([1, 3, 10, 20, 100])),
        "Pods": pods,
        "Metrics": [_metric(chance, spec, pods) for _ in range(chance.choice([1, 1, 1, 2, 3]))],
        "Recs": _entries(chance, 6, 4000, 40),
        "Up": _entries(chance, 4, 2000, 9),
        "Down": _entries(chance, 4, 2000, 9),
        "UpTol": 0.1,
        "DownTol": 0.1,
        "Given": given,
        "Behavior": None if given is None else {name: _completed(given.get(name), name) for name in DIRECTIONS},
    }


def _age(chance: Random, longest: int) -> float:
    return chance.choice([chance.randrange(longest), chance.randrange(60)]) + 0.5


def _entries(chance: Random, most: int, longest: int, largest: int) -> list[Json]:
    entries = [{"Ago": _age(chance, longest), "N": chance.randint(1, largest)} for _ in range(chance.randint(0, most))]
    return sorted(entries, key=lambda entry: -entry["Ago"])


def _pod(chance: Random, index: int) -> Json:
    started = _age(chance, 900) if chance.random() < 0.93 else None
    changed = _age(chance, 900)
    if started is not None and chance.random() < 0.7:
        changed = max(0.5, started - chance.choice([0, 5, 29, 31, 100]))
    return {
        "Name": f"pod-{index}",
        "Phase": chance.choices(PHASES, [12, 2, 1, 1, 1])[0],
        "Deleting": chance.random() < 0.08,
        "Ready": chance.choices(["True", "False", ""], [8, 3, 1])[0],
        "ChangedAgo": changed,
        "StartedAgo": started,
        "Request": chance.choice([0, 100, 250, 500, 1000, 1000, 1024, 3333]) if chance.random() < 0.98 else None,
    }


def _metric(chance: Random, spec: int, pods: Sequence[Json]) -> Json:
    kind = chance.choice(KINDS)
    percent = kind == "Utilization"
    target = chance.choice([1, 30, 50, 70, 80, 100, 150] if percent else [1, 3, 100, 500, 1000, 7777, 10**6])
    factor = chance.choice([0, 1, 1, 1.1, 1.11, 0.9, 0.89, 2, 7, 40, chance.uniform(0, 5)])
    level = int(target * factor)
    by_pod = kind in {"Utilization", "RawResource", "Pods"}
    return {
        "Kind": kind,
        "Target": target,
        "Resource": chance.choice(["cpu", "memory"]),
        "Samples": _samples(chance, level * (10 if percent else 1), pods) if by_pod else {},
        "Usage": []
        if by_pod
        else _usage(chance, level * chance.choice([1, spec, spec]), single=kind == "ObjectAverage"),
    }


def _samples(chance: Random, level: int, pods: Sequence[Json]) -> Json:
    names = [*(pod["Name"] for pod in pods), *(["stranger"] if chance.random() < 0.1 else [])]
    return {name: _sample(chance, level) for name in names if chance.random() < 0.85}


def _sample(chance: Random, level: int) -> Json:
    milli = max(0, int(level * chance.choice([1, 1, 1, 0.5, 1.5, 0.9, 1.1])) + chance.choice([0, 0, 1, -1]))
    if chance.random() < 0.03:
        milli = -chance.randint(1, 900)
    return {"Milli": milli, "Ago": _age(chance, 400), "Window": chance.choice([15, 30, 60])}


def _usage(chance: Random, total: int, *, single: bool) -> list[int]:
    usage = [total] if single or chance.random() < 0.6 else [total // 2, total - total // 2]
    if chance.random() < 0.03:
        usage = [-chance.randint(1, 10**5)] if single else [-chance.randint(1, 10**5), chance.randint(1, 10**6)]
    return usage


def _behavior(chance: Random) -> Json | None:
    if chance.random() < 0.3:
        return None
    return {name: _rules(chance) for name in DIRECTIONS if chance.random() < 0.8}


def _rules(chance: Random) -> Json:
    every = {
        "stabilizationWindowSeconds": chance.choice([0, 1, 30, 60, 300, 3600]),
        "selectPolicy": chance.choice(["Max", "Min", "Disabled", "Max"]),
        "policies": [_policy(chance) for _ in range(chance.randint(1, 3))],
        "tolerance": chance.choice(["0", "50m", "100m", "200m", "59m", "301m", "1"]),
    }
    return {name: value for name, value in every.items() if chance.random() < 0.6}


def _policy(chance: Random) -> Json:
    return {
        "type": chance.choice(["Pods", "Percent"]),
        "value": chance.choice([1, 2, 4, 10, 33, 50, 100, 150, 1000, 10000]),
        "periodSeconds": chance.choice([1, 15, 60, 300, 1800]),
    }


def _completed(given: Json | None, direction: str) -> Json:
    """Return the rules with the API server's defaults: written here a second time, to be compared with ours."""
    pods = [{"type": "Pods", "value": 4, "periodSeconds": 15}] if direction == "scaleUp" else []
    defaults = {
        "stabilizationWindowSeconds": 0 if direction == "scaleUp" else 300,
        "selectPolicy": "Max",
        "policies": [*pods, {"type": "Percent", "value": 100, "periodSeconds": 15}],
    }
    return {**defaults, **(given or {})}
