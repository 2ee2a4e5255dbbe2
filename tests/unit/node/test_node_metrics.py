from prometheus_client.parser import text_string_to_metric_families

from autoglm_api import names
from autoglm_node.metrics import Metrics, foreign
from autoglm_node.query import Finish, Piece, Tally

TRITON = """\
# HELP nv_inference_count Number of inferences performed
# TYPE nv_inference_count counter
nv_inference_count{model="glm",version="1"} 4
# HELP autoglm_node_in_flight_queries an impostor
# TYPE autoglm_node_in_flight_queries gauge
autoglm_node_in_flight_queries 99
# HELP autoglm_engine_running Sequences that hold a slot
# TYPE autoglm_engine_running gauge
autoglm_engine_running{model="glm"} 2
"""
ALL = {value for name, value in vars(names).items() if name.startswith("METRIC_NODE_")}


def families(page: bytes) -> dict[str, float | None]:
    parsed = list(text_string_to_metric_families(page.decode()))
    assert len({family.name for family in parsed}) == len(parsed), "a family occurs twice"
    return {family.name: family.samples[0].value if family.samples else None for family in parsed}


def test_one_page_with_both_and_no_family_twice() -> None:
    found = families(Metrics("glm").page(TRITON))
    assert found["nv_inference_count"] == 4
    assert found["autoglm_engine_running"] == 2
    assert found[names.METRIC_NODE_IN_FLIGHT] == 0


def test_every_name_of_the_contract_is_there_from_the_start() -> None:
    found = families(Metrics("glm").page(""))
    assert {name.removesuffix("_total") for name in ALL} <= set(found)


def test_a_silent_triton_leaves_no_trace() -> None:
    assert not [name for name in families(Metrics("glm").page("")) if name.startswith("nv_")]


def test_foreign_keeps_what_is_not_ours() -> None:
    assert foreign(["# TYPE a counter", "a 1", "", "# TYPE b_total counter", "b_total 1"], {"b"}) == (
        "# TYPE a counter\na 1\n"
    )


def test_confidence_is_the_geometric_mean() -> None:
    tally = Tally()
    assert tally.confidence == 0
    tally.add(Piece((1, 2), (-0.5, -1.5), Finish.NONE))
    assert round(tally.confidence, 4) == 0.3679


def test_the_time_of_a_token_is_that_of_those_after_the_first() -> None:
    metrics = Metrics("glm")
    for tokens, seconds in ((11, 0.5), (1, 0.2), (0, None)):
        tally = Tally()
        tally.add(Piece(tuple(range(tokens)), (), Finish.STOP))
        metrics.count_answer(5, tally, seconds)
    name = names.METRIC_NODE_PER_TOKEN_SECONDS
    found = {key: metrics.registry.get_sample_value(f"{name}_{key}") for key in ("count", "sum")}
    assert found == {"count": 1, "sum": 0.05}, "an answer of one token has no time between tokens"
