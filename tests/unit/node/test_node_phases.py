import pytest

from autoglm_node.health import Canary, Health, Verdict
from autoglm_node.phases import ENDS, TABLE, Event, ImpossibleTransitionError, Phase, next_phase
from autoglm_node.readiness import Vitals


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in ENDS])
def test_every_running_phase_reaches_an_end(phase: Phase) -> None:
    reached, before = {phase}, set[Phase]()
    while reached != before:
        before = set(reached)
        reached |= {after for (start, _), after in TABLE.items() if start in before}
    assert reached & ENDS


def test_nothing_follows_an_end() -> None:
    assert not [start for start, _ in TABLE if start in ENDS]


def test_the_good_life() -> None:
    phase = Phase.VALIDATE
    events = [Event.DONE] * 4 + [Event.ENGINE_SICK, Event.DONE, Event.TERMINATE, Event.DONE]
    lived = [phase := next_phase(phase, event) for event in events]
    assert lived == ["Generate", "Start", "WarmUp", "Serve", "Heal", "Serve", "Drain", "Stopped"]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase not in ENDS | {Phase.DRAIN}])
def test_termination_is_heard_in_every_phase(phase: Phase) -> None:
    assert next_phase(phase, Event.TERMINATE) in {Phase.DRAIN, Phase.STOPPED}


def test_an_impossible_event_is_a_mistake() -> None:
    with pytest.raises(ImpossibleTransitionError, match="EngineSick cannot happen in phase Drain"):
        next_phase(Phase.DRAIN, Event.ENGINE_SICK)


A, F, B = Canary.ANSWERED, Canary.FAILED, Canary.BUSY


@pytest.mark.parametrize(
    ("canaries", "verdict"),
    [
        ([], Verdict.HEALTHY),
        ([F], Verdict.SUSPECT),
        ([F, A], Verdict.HEALTHY),
        ([F, F], Verdict.SICK),
        ([F, A, F], Verdict.SUSPECT),
        ([F, B, F], Verdict.SUSPECT),
        ([B, B, B, B], Verdict.HEALTHY),
        ([F, F, F], Verdict.DEAD),
    ],
)
def test_verdict_after_canaries(canaries: list[Canary], verdict: Verdict) -> None:
    health = Health()
    for canary in canaries:
        health = health.after(canary)
    assert health.verdict is verdict


@pytest.mark.parametrize(
    ("phase", "failures", "ready", "alive"),
    [
        (Phase.WARM_UP, 0, False, True),
        (Phase.SERVE, 0, True, True),
        (Phase.SERVE, 1, False, True),
        (Phase.HEAL, 2, False, True),
        (Phase.DRAIN, 0, False, True),
        (Phase.FAILED, 3, False, False),
    ],
)
def test_probes(phase: Phase, failures: int, *, ready: bool, alive: bool) -> None:
    vitals = Vitals(phase, Health(failures))
    assert (vitals.ready()[0], vitals.alive()[0]) == (ready, alive)
