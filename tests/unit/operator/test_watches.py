"""Which autoscaler events wake whom: coming, going and another target do, fresh figures do not."""

from typing import Any

import pytest

from autoglm_api import names
from autoglm_operator.shell.watches import autoscaler_handler


def _body(target: str) -> dict[str, Any]:
    return {"spec": {"scaleTargetRef": {"kind": "Deployment", "name": target}}}


async def _woken(*events: tuple[str | None, str, str]) -> list[set[str]]:
    """Return the targets that each event (type, UID, target) wakes."""
    woken: list[set[str]] = []
    handle = autoscaler_handler(lambda _, target: woken[-1].add(target))
    for kind, uid, target in events:
        woken.append(set())
        await handle(body=_body(target), namespace="shop", uid=uid, type=kind)
    return woken


async def test_coming_going_and_another_target_wake_and_fresh_figures_do_not() -> None:
    events = [(None, "1", "a"), ("MODIFIED", "1", "a"), ("MODIFIED", "1", "b"), ("DELETED", "1", "b")]
    assert await _woken(*events) == [{"a"}, set(), {"a", "b"}, {"b"}]


async def test_a_successor_of_the_same_name_wakes_again() -> None:
    assert await _woken(("ADDED", "1", "a"), ("DELETED", "1", "a"), ("ADDED", "2", "a")) == [{"a"}, {"a"}, {"a"}]


@pytest.mark.parametrize("deployment", ["shop", "d" * 50])
@pytest.mark.parametrize("pool", ["light", "p" * 20])
def test_a_child_is_told_by_its_name_even_when_that_was_cut(deployment: str, pool: str) -> None:
    for child in (names.revision_name(deployment, pool, "0123abcd"), names.pool_scale_name(deployment, pool)):
        assert names.may_be_child(deployment, child)
        assert not names.may_be_child("other", child)
