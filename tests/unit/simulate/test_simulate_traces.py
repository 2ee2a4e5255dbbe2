import numpy as np
import pytest

from autoglm_operator.simulate.generated import SHAPES, generated
from autoglm_operator.simulate.trace_files import read_classes, read_trace
from autoglm_operator.simulate.traces import Queries, Rates, Trace, TraceError, queries_for, trailing_mean

OURS = ["timestamp_s,input_tokens,output_tokens", "0.5,10,2", "2.25,30,4", "2.0,1,1"]


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def read(*lines: str, service: str = "") -> Trace:
    return read_trace("t.csv", lines, rng(), service=service)


def rates(*tokens: float) -> Rates:
    return Rates(np.array(tokens) / 10, np.array(tokens))


def test_queries_are_counted_by_second_in_order_of_time() -> None:
    trace = read(*OURS)
    assert trace.queries is not None
    assert trace.queries.at.tolist() == [0.5, 2.0, 2.25]
    assert (trace.rates.queries.tolist(), trace.rates.tokens.tolist()) == ([1, 0, 2], [12, 0, 36])
    assert trace.rates.prompt_share == pytest.approx(41 / 48)


def test_the_public_traces_dates_and_names_are_read() -> None:
    azure = ["TIMESTAMP,ContextTokens,GeneratedTokens", "2023-11-16 18:15:46.6805900,374,44", "2023-11-16 18:15:50,3,1"]
    burst = ["Timestamp,Model,Request tokens,Response tokens,Total tokens,Log Type", "5,ChatGPT,472,18,490,API"]
    assert read(*azure).rates.tokens.tolist() == [418, 0, 0, 4]
    assert read(*burst).rates.tokens.tolist() == [0, 0, 0, 0, 0, 490]


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ((), "no column timestamp_s"),
        (("a,b", "1,2"), "the header is a,b"),
        ((OURS[0],), "no rows"),
        ((OURS[0], "0,x,1"), "no number"),
        ((OURS[0], "0,-1,1"), "not negative"),
        ((OURS[0], "0,nan,1"), "finite"),
        ((OURS[0], "0,1,1", "9999999,1,1"), "longer than 31 days"),
    ],
)
def test_a_trace_that_cannot_be_used_says_why(lines: tuple[str, ...], sentence: str) -> None:
    with pytest.raises(TraceError, match=sentence):
        read(*lines)


def test_a_rates_file_becomes_a_trace_of_the_chosen_service() -> None:
    lines = ["model,t_s,rps,mean_input_tokens,mean_output_tokens", "a,0,10,70,30", "a,600,20,70,30", "b,0,1,1,1"]
    trace = read(*lines, service="a")
    assert trace.rates.seconds == 1200
    assert float(trace.rates.queries.sum()) == pytest.approx(1200 * 17.5, rel=0.05)
    assert float(trace.rates.tokens.sum()) == pytest.approx(1200 * 1750, rel=0.05)
    with pytest.raises(TraceError, match="pick one of a, b"):
        read(*lines)


def test_a_window_that_does_not_tell_lies_between_its_neighbours() -> None:
    head = "t_s,rps,mean_input_tokens,mean_output_tokens"
    trace = read(head, "0,10,70,30", "600,0,,", "1200,10,70,30", "1800,10,70,30").rates
    assert float(trace.queries[590:610].sum()) < 20
    assert float(trace.tokens.sum() / trace.queries.sum()) == pytest.approx(100, rel=0.05)
    images = read(head, "0,10,,30", "600,10,,30").rates
    assert float(images.tokens.sum() / images.queries.sum()) == pytest.approx(30, rel=0.05)
    with pytest.raises(TraceError, match="how many tokens"):
        read(head, "0,10,,", "600,10,,")


def test_classes_of_a_trace_have_its_length() -> None:
    lines = ["timestamp_s,input_tokens,output_tokens,class", "0,1,1,Simple", "5,2,2,Complex", "1,4,4,simple"]
    parts = read_classes("t.csv", lines)
    assert {kind: part.rates.tokens.tolist() for kind, part in parts.items()} == {
        "simple": [2, 8, 0, 0, 0, 0],
        "complex": [0, 0, 0, 0, 0, 4],
    }
    assert read_classes("t.csv", OURS) == {}


def test_superposing_lowers_the_relative_burstiness_and_multiplying_keeps_it() -> None:
    trace = generated("bursts", rng()).rates

    def variation(one: Rates) -> float:
        return float(one.tokens.std() / one.tokens.mean())

    assert variation(trace.multiplied(8)) == pytest.approx(variation(trace))
    assert variation(trace.superposed(16)) < variation(trace) / 2
    assert trace.superposed(16).tokens.sum() == pytest.approx(16 * trace.tokens.sum())


def test_queries_are_scaled_as_their_rates() -> None:
    queries = read(*OURS).queries
    assert queries is not None
    both = queries.superposed(3, 3).rates(3), queries.rates(3).superposed(3)
    assert both[0].tokens.tolist() == both[1].tokens.tolist()
    assert queries.multiplied(2, rng()).rates(3).tokens.tolist() == queries.rates(3).multiplied(2).tokens.tolist()
    assert queries.multiplied(1, rng()).at.tolist() == queries.at.tolist()


def test_a_share_of_many_queries_is_that_share() -> None:
    many = Queries(np.arange(10000.0), np.ones(10000), np.ones(10000))
    assert len(many.multiplied(0.3, rng()).at) == pytest.approx(3000, rel=0.05)
    assert len(many.drawn(0.3, rng()).at) == pytest.approx(3000, rel=0.05)


def test_drawn_queries_keep_the_tokens_of_every_second() -> None:
    trace = generated("flash-sale", rng()).rates
    drawn = queries_for(trace, rng()).rates(trace.seconds)
    assert np.allclose(drawn.queries, trace.queries)
    assert np.allclose(drawn.tokens, trace.tokens, atol=2 * trace.queries.max())


@pytest.mark.parametrize("name", SHAPES)
def test_a_generated_trace_depends_on_its_seed_alone(name: str) -> None:
    one, again = (generated(name, np.random.default_rng(3)).rates for _ in range(2))
    other = generated(name, np.random.default_rng(4)).rates
    assert np.array_equal(one.tokens, again.tokens)
    assert not np.array_equal(one.tokens, other.tokens)
    assert (one.tokens[one.queries == 0] == 0).all()


def test_an_unknown_generated_trace_lists_those_that_there_are() -> None:
    with pytest.raises(TraceError, match="diurnal, ramp, bursts, flash-sale"):
        generated("sale", rng())


def test_the_peak_is_of_a_full_window() -> None:
    assert rates(90, 0, 0, 30, 30).peak_tokens(3) == 30
    assert trailing_mean(np.array([4.0, 2.0, 0.0]), 2).tolist() == [4, 3, 1]
