"""Tiers, accounts and the parts of a need that a client may not choose."""

import json

import pytest

from autoglm_api.keys import Tier, hash_of
from autoglm_api.queue import Queue, TaskType
from autoglm_gateway.callers import Callers, secret_entries, tier_of
from autoglm_gateway.principals import ANYBODY, Caller
from autoglm_gateway.refusal import RefusalError
from autoglm_transport.http import Headers

QUEUE = Queue(task_types=[TaskType(name="report", tier=Tier.BATCH), TaskType(name="call", tier=Tier.URGENT)])


def caller(highest: Tier) -> Caller:
    return Caller("c", "t", None, highest, may_choose_class=False)


def entry(**fields: object) -> bytes:
    return json.dumps({"hashes": [hash_of("k")], "tenant": "shop", **fields}).encode()


def who(callers: Callers) -> Caller:
    return callers.who(Headers([(b"authorization", b"Bearer k")]))


@pytest.mark.parametrize(
    ("wished", "task", "highest", "granted"),
    [
        (None, None, Tier.URGENT, Tier.NORMAL),
        (None, None, Tier.BATCH, Tier.BATCH),
        ("Urgent", None, Tier.URGENT, Tier.URGENT),
        ("URGENT ", None, Tier.NORMAL, Tier.NORMAL),
        ("Batch", "call", Tier.URGENT, Tier.BATCH),
        (None, "report", Tier.URGENT, Tier.BATCH),
        (None, "call", Tier.INTERACTIVE, Tier.INTERACTIVE),
        (None, "unknown", Tier.URGENT, Tier.NORMAL),
    ],
)
def test_the_tier_is_what_is_wished_and_never_above_what_is_allowed(
    wished: str | None, task: str | None, highest: Tier, granted: Tier
) -> None:
    assert tier_of(wished, task, QUEUE, caller(highest)) is granted


def test_a_tier_that_does_not_exist_is_told() -> None:
    with pytest.raises(RefusalError, match="Urgent, Interactive, Normal, Batch") as refused:
        tier_of("First", None, QUEUE, ANYBODY)
    assert refused.value.status == 400


def test_without_keys_everybody_may_ask_without_limits() -> None:
    callers = Callers()
    assert callers.known
    assert callers.who(Headers()) is ANYBODY
    assert callers.use_of(ANYBODY) is None


def test_keys_that_are_wanted_and_not_read_let_nobody_in() -> None:
    callers = Callers()
    callers.want(keys=True)
    assert not callers.known
    with pytest.raises(RefusalError):
        who(callers)
    callers.want(keys=False)
    assert who(callers) is ANYBODY


def test_use_is_kept_when_limits_and_gateways_change() -> None:
    callers = Callers()
    callers.want(keys=True)
    callers.follow({"front": entry(queriesPerMinute=60, concurrency=4)})
    use = callers.use_of(who(callers))
    assert use is not None
    for _ in range(30):
        use.begin(1, now=0)
    assert (use.concurrency, use.refusal(1, 0)) == (4, ("concurrency", 1.0))
    callers.follow({"front": entry(queriesPerMinute=60, concurrency=100)})
    callers.share(2)
    assert callers.use_of(who(callers)) is use
    assert (use.at_once, use.concurrency) == (30, 50)
    assert use.queries is not None
    assert use.queries.wait(15, 0) == 0, "half of the allowance was left, and half of that is this gateway's"
    assert use.queries.wait(16, 0) > 0


def test_entries_that_cannot_be_read_are_counted() -> None:
    callers = Callers()
    callers.want(keys=True)
    callers.follow({"bad": b"{", "front": entry()})
    assert callers.problems == 1


@pytest.mark.parametrize(
    ("secrets", "entries"),
    [
        ([], {}),
        ([{}], {}),
        ([{"data": None}], {}),
        ([{"data": {"a": "eA=="}}], {"a": b"x"}),
        ([{"data": {"a": "!"}}], {"a": b""}),
    ],
)
def test_a_secret_is_read_as_the_api_server_lists_it(secrets: list[dict[str, object]], entries: object) -> None:
    assert secret_entries(secrets) == entries
