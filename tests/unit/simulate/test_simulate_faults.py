import math

import pytest

from autoglm_operator.simulate.faults import Fault, FaultError, FaultKind, Faults, parse_fault


@pytest.mark.parametrize(
    ("written", "fault"),
    [
        ("outage@600+300", Fault(FaultKind.OUTAGE, 600, 900, 0)),
        ("outage", Fault(FaultKind.OUTAGE, 0, math.inf, 0)),
        ("partial@60+30:0.5", Fault(FaultKind.PARTIAL, 60, 90, 0.5)),
        ("nodeloss@60", Fault(FaultKind.NODE_LOSS, 60, math.inf, 0.2)),
        ("restart@60", Fault(FaultKind.RESTART, 60, 60, 0)),
        ("restart@60+30:kept", Fault(FaultKind.RESTART, 60, 90, 1)),
        ("quota@60+30:12", Fault(FaultKind.QUOTA, 60, 90, 12)),
        ("profile:1.3", Fault(FaultKind.PROFILE, 0, math.inf, 1.3)),
    ],
)
def test_a_fault_is_read_as_it_is_written(written: str, fault: Fault) -> None:
    assert parse_fault(written) == fault


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("flood@1", "KIND one of outage"),
        ("outage@x", "KIND"),
        ("quota@60", "needs a value"),
        ("quota@60:1.5", "whole number"),
        ("partial:1", "between 0 and 1"),
        ("nodeloss:nan", "above 0"),
        ("profile:0", "above 0"),
        ("restart@5:maybe", "lost or kept"),
        ("outage:3", "takes no value"),
        ("", "KIND"),
    ],
)
def test_a_wrong_fault_is_refused_with_a_sentence(written: str, sentence: str) -> None:
    with pytest.raises(FaultError, match=sentence):
        parse_fault(written)


def faults(*written: str) -> Faults:
    return Faults.of(parse_fault(one) for one in written)


def test_an_outage_lasts_from_its_start_to_its_end() -> None:
    told = [faults("outage@10+5").metrics_are_missing(now) for now in (9, 10, 14, 15)]
    assert told == [False, True, True, False]


def test_a_restart_loses_the_state_once_and_keeps_the_operator_away() -> None:
    restart = faults("restart@10+5")
    assert [restart.state_is_lost(now - 1, now) for now in (9, 10, 11)] == [False, True, False]
    assert [restart.operator_is_away(now) for now in (9, 10, 14, 15)] == [False, True, True, False]
    assert not faults("restart@10+5:kept").state_is_lost(9, 10)


def test_faults_of_one_kind_add_up() -> None:
    both = faults("profile:0.5", "profile:0.5", "quota:9", "quota:7", "nodeloss@5:0.5", "nodeloss@5:0.5")
    assert (both.profile(1), both.quota(1), both.lost_share(4, 5)) == (0.25, 7, 0.75)


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("outage@600+300", "outage@600+300"),
        ("outage", "outage@0"),
        ("partial@5", "partial@5:0.3"),
        ("restart@600", "restart@600+0:lost"),
        ("restart@600+30:kept", "restart@600+30:kept"),
        ("quota@1+2:12", "quota@1+2:12"),
        ("profile:1.3", "profile@0:1.3"),
    ],
)
def test_a_fault_can_be_written_again(written: str, words: str) -> None:
    fault = parse_fault(written)
    assert fault.words == words
    assert parse_fault(fault.words) == fault
