"""API keys and limits of their owners."""

import json

import pytest

from autoglm_api.keys import KEY_PREFIX, Tier, hash_of, new_key
from autoglm_gateway.principals import ANYBODY, Bucket, Caller, key_ring, use_of

KEY = "agk-one"


def entry(*keys: str, **fields: object) -> bytes:
    return json.dumps({"hashes": [hash_of(key) for key in keys], "tenant": "shop", **fields}).encode()


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"Bearer {KEY}", True),
        (f"bearer  {KEY} ", True),
        (KEY, False),
        (f"Basic {KEY}", False),
        ("Bearer ", False),
        ("Bearer wrong", False),
        ("Bearer " + "x" * 100_000, False),
        (None, False),
    ],
)
def test_only_a_bearer_of_a_known_key_is_somebody(header: str | None, found: bool) -> None:  # noqa: FBT001 - a table
    caller = key_ring({"front": entry(KEY)}).find(header)
    assert (caller is not None) is found
    assert caller is None or (caller.name, caller.tenant) == ("front", "shop")


def test_what_is_not_given_is_the_least() -> None:
    caller = key_ring({"front": entry(KEY)}).find(f"Bearer {KEY}")
    assert caller == Caller("front", "shop", None, Tier.NORMAL, may_choose_class=False)


def test_two_keys_of_one_principal_are_valid_at_once() -> None:
    ring = key_ring({"front": entry("old", "new")})
    assert ring.find("Bearer old") == ring.find("Bearer new") is not None


def test_a_broken_entry_costs_only_itself_and_is_told() -> None:
    ring = key_ring({"bad": b"{", "worse": b'{"tenant": "x", "hashes": ["abc"]}', "good": entry(KEY)})
    assert ring.find(f"Bearer {KEY}") is not None
    assert [problem.split(":")[0] for problem in ring.problems] == ["key bad", "key worse"]


def test_a_key_of_two_principals_is_told_and_stays_with_the_first() -> None:
    ring = key_ring({"a": entry(KEY), "b": entry(KEY)})
    caller = ring.find(f"Bearer {KEY}")
    assert (caller and caller.name, ring.problems) == ("a", ("key b: a hash of it belongs to a, too",))


def test_models_are_scoped() -> None:
    caller = key_ring({"front": entry(KEY, models=["shop-assistant"])}).find(f"Bearer {KEY}")
    assert caller is not None
    assert [caller.may_ask(model) for model in ("shop-assistant", "glm-large")] == [True, False]
    assert ANYBODY.may_ask("anything")


def test_keys_are_long_and_never_the_same() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith(KEY_PREFIX) and len(key) >= 47 for key in keys)


def test_a_bucket_holds_a_minute_and_refills_evenly() -> None:
    bucket = Bucket(60)
    bucket.take(60, now=0)
    assert (bucket.wait(1, now=0), bucket.wait(1, now=0.5), bucket.wait(1, now=1)) == (1.0, 0.5, 0.0)
    bucket.take(30, now=1)
    assert bucket.wait(1, now=1) == pytest.approx(30.0)
    assert bucket.wait(60, now=1000) == 0.0


def test_more_than_a_minute_s_worth_is_possible_once_the_bucket_is_full() -> None:
    bucket = Bucket(10)
    assert bucket.wait(1000, now=0) == 0.0
    bucket.take(1000, now=0)
    assert bucket.wait(1, now=0) > 60 * 90


def test_limits_are_shared_by_the_gateways_and_given_back() -> None:
    use = use_of(Caller("a", "t", None, Tier.NORMAL, may_choose_class=False, concurrency=3, queries_per_minute=120), 2)
    use.begin(0, now=0)
    use.begin(0, now=0)
    assert use.refusal(0, now=0) == ("concurrency", 1.0)
    use.end(0, now=0)
    assert use.refusal(0, now=0) is None


def test_tokens_are_charged_as_they_were_and_not_as_they_were_predicted() -> None:
    use = use_of(Caller("a", "t", None, Tier.NORMAL, may_choose_class=False, tokens_per_minute=600), 1)
    use.begin(100, now=0)
    use.end(500, now=0)
    assert use.refusal(100, now=0) == ("token", 10.0)
    assert use.refusal(100, now=10) is None
