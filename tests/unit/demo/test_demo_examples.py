"""The demo's load must be able to do what the demo claims about the examples' bounds."""

import pytest
import yaml

from autoglm_api import names
from autoglm_api.spec import Pool, SignalType, Spec, parse_spec
from autoglm_demo import script
from autoglm_demo.ground import EXAMPLES
from autoglm_localcluster.fleet.profile import profile_of, profiles_from
from autoglm_shop.task import Kind


def spec_of(example: str) -> Spec:
    documents = yaml.safe_load_all((EXAMPLES / example / "manifest.yaml").read_text())
    return next(parse_spec(document["spec"]) for document in documents if document["kind"] == names.KIND)


def concurrency_target(pool: Pool) -> float:
    return next(float(one.target or 0) for one in pool.scaling.signals if one.type is SignalType.CONCURRENCY)


@pytest.mark.parametrize("pool", spec_of(script.SHOP.example).pools, ids=lambda pool: pool.name)
def test_the_shoppers_ask_for_the_largest_size_of_each_pool(pool: Pool) -> None:
    assert script.SHOPPERS / concurrency_target(pool) > pool.scaling.max_replicas - 1


@pytest.mark.parametrize("pool", spec_of(script.SHOP.example).pools, ids=lambda pool: pool.name)
def test_the_questions_do_not_make_a_pool_grow(pool: Pool) -> None:
    assert concurrency_target(pool) >= script.PROMPTS_AT_ONCE


@pytest.mark.parametrize("pool", spec_of(script.SHOP.example).pools, ids=lambda pool: pool.name)
def test_the_last_shopper_asks_for_the_smallest_size(pool: Pool) -> None:
    assert script.LAST_SHOPPERS / concurrency_target(pool) <= pool.scaling.min_replicas


def test_the_sale_fills_every_node_and_no_more() -> None:
    assert sum(pool.scaling.max_replicas for pool in spec_of(script.SALE.example).pools) == script.NODES


@pytest.mark.parametrize("pool", spec_of(script.SALE.example).pools, ids=lambda pool: pool.name)
def test_the_sale_asks_for_every_replica_and_they_can_answer_it(pool: Pool) -> None:
    profile = profile_of(profiles_from("{}"), pool.serves)
    share = script.COMPLEX_SHARE if Kind(pool.serves) is Kind.COMPLEX else 1 - script.COMPLEX_SHARE
    open_queries = script.SALE_CURVE.peak * share * script.SALE_TOKENS * profile.token_milliseconds / 1000
    assert open_queries / concurrency_target(pool) > pool.scaling.max_replicas - 1
    assert open_queries < pool.concurrency_per_replica * pool.scaling.max_replicas


@pytest.mark.parametrize("target", [script.SHOP, script.SALE], ids=lambda target: target.name)
def test_the_demo_asks_for_the_deployments_that_the_examples_create(target: script.Target) -> None:
    documents = yaml.safe_load_all((EXAMPLES / target.example / "manifest.yaml").read_text())
    metadata = next(document["metadata"] for document in documents if document["kind"] == names.KIND)
    assert (metadata["namespace"], metadata["name"]) == (target.namespace, target.name)
