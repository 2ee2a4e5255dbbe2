from typing import Any

import pytest

from autoglm_operator.scaling.history import History, ScaleEvent
from autoglm_operator.scaling.rate import grow_limit, legacy_grow_limit, shrink_limit
from autoglm_operator.scaling.rules import complete
from support.scaling_times import at, behavior, percent, pods

NOW = at(1000)


def ago(*events: tuple[float, int]) -> tuple[ScaleEvent, ...]:
    return tuple(ScaleEvent(at(1000 - seconds), change) for seconds, change in events)


UP_CASES = [
    # current, policies, selectPolicy, grown, shrunk -> limit
    (10, [pods(4, 60)], "Max", (), (), 14),
    (10, [percent(50, 60)], "Max", (), (), 15),
    (3, [percent(10, 60)], "Max", (), (), 4),  # ceil: a small pool always can grow
    (100, [percent(10, 60)], "Max", (), (), 111),  # doubles, as upstream: 100 * 1.1 = 110.00000000000001
    (10, [pods(4, 60), percent(100, 60)], "Max", (), (), 20),
    (10, [pods(4, 60), percent(100, 60)], "Min", (), (), 14),
    (10, [pods(4, 60)], "Disabled", (), (), 10),
    (10, [pods(4, 60)], "Max", ((30, 3),), (), 11),  # start was 7
    (10, [pods(4, 60)], "Max", ((60, 3),), (), 14),  # exactly one period old: no longer counts
    (10, [pods(4, 60)], "Max", ((59.9, 3),), (), 11),
    (10, [pods(4, 60)], "Max", ((30, 9),), (), 10),  # spent: never below current
    (10, [pods(4, 60)], "Max", (), ((30, 2),), 16),  # what was removed may come back
    (10, [percent(100, 60)], "Max", ((30, 5),), (), 10),
    (10, [pods(1, 15), pods(9, 600)], "Max", ((30, 5),), (), 14),  # each policy has its own period
]


@pytest.mark.parametrize(("current", "policies", "select", "grown", "shrunk", "limit"), UP_CASES)
def test_grow_limit(
    current: int,
    policies: list[dict[str, Any]],
    select: str,
    grown: tuple[tuple[float, int], ...],
    shrunk: tuple[tuple[float, int], ...],
    limit: int,
) -> None:
    rules = complete(behavior(up={"policies": policies, "selectPolicy": select})).up
    assert grow_limit(current, History(grown=ago(*grown), shrunk=ago(*shrunk)), rules, NOW) == limit


DOWN_CASES = [
    (10, [pods(4, 60)], "Max", (), (), 6),
    (10, [percent(50, 60)], "Max", (), (), 5),
    (5, [percent(50, 60)], "Max", (), (), 2),  # trunc(2.5)
    (9, [percent(10, 60)], "Max", (), (), 8),  # trunc(8.1)
    (10, [pods(4, 60), percent(10, 60)], "Max", (), (), 6),
    (10, [pods(4, 60), percent(10, 60)], "Min", (), (), 9),
    (10, [pods(4, 60)], "Disabled", (), (), 10),
    (10, [pods(4, 60)], "Max", (), ((30, 3),), 9),  # start was 13
    (10, [pods(4, 60)], "Max", (), ((60, 3),), 6),
    (10, [pods(4, 60)], "Max", (), ((30, 9),), 10),  # spent: never above current
    (10, [pods(4, 60)], "Max", ((30, 2),), (), 4),
    (3, [pods(4, 60)], "Max", (), (), -1),  # min replicas come later
    (10, [percent(100, 15)], "Max", (), (), 0),
]


@pytest.mark.parametrize(("current", "policies", "select", "grown", "shrunk", "limit"), DOWN_CASES)
def test_shrink_limit(
    current: int,
    policies: list[dict[str, Any]],
    select: str,
    grown: tuple[tuple[float, int], ...],
    shrunk: tuple[tuple[float, int], ...],
    limit: int,
) -> None:
    rules = complete(behavior(down={"policies": policies, "selectPolicy": select})).down
    assert shrink_limit(current, History(grown=ago(*grown), shrunk=ago(*shrunk)), rules, NOW) == limit


@pytest.mark.parametrize(("current", "limit"), [(0, 4), (1, 4), (2, 4), (3, 6), (10, 20)])
def test_legacy_limit_doubles_but_allows_four(current: int, limit: int) -> None:
    assert legacy_grow_limit(current) == limit
