import json

from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoglm_api.spec import Scaling
from autoglm_operator.scaling.decide import PoolState, decide
from autoglm_operator.scaling.deployment import DeploymentState
from autoglm_operator.scaling.persistence import dump, load
from support.scaling_times import at
from support.scaling_worlds import rules, snapshots

TICK = 7.3


@settings(max_examples=12)
@given(rules(), st.data())
def test_a_restart_changes_no_later_decision(scaling: Scaling, data: st.DataObject) -> None:
    current, stays, restarts = scaling.min_replicas, PoolState(), PoolState()
    for tick in range(8):
        pool = data.draw(snapshots(scaling, current))
        decision, stays = decide(pool, scaling, stays, at(TICK * tick))
        again, restarts = decide(pool, scaling, restarts, at(TICK * tick))
        assert again == decision
        restored = load(dump(DeploymentState({"light": restarts}), at(TICK * tick)), at(TICK * tick + 1)).state
        assert restored == DeploymentState({"light": stays})
        restarts = restored.pools["light"]
        current = decision.replicas


@settings(max_examples=30)
@given(
    st.one_of(
        st.text(),
        st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists).map(json.dumps),
        st.builds(
            lambda state: json.dumps({"version": 1, "savedAt": at(0).isoformat(), "state": state}),
            st.recursive(
                st.none() | st.integers() | st.text(),
                lambda inner: st.dictionaries(st.sampled_from(["pools", "history", "light", "demand"]), inner),
            ),
        ),
    )
)
@example("[" * 100_000)
@example('{"version": 1, "savedAt": "soon", "state": {}}')
def test_no_text_breaks_the_engine(text: str) -> None:
    restored = load(text, at(0))
    assert (restored.state is None) == bool(restored.problem)
